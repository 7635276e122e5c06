"""The shell scripts, run in a copy of the repository with a recorded stand-in for the engine or the interpreter."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPTS = ["build.sh", "export.sh", ".ci/run", ".ci/base_image.sh"]
SCRIPTS += [
    path.relative_to(REPOSITORY).as_posix()
    for folder in ("test", "resources")
    for path in (REPOSITORY / folder).glob("*.sh")
]


LOCKED = ("requirements-torch.txt", "requirements.txt", "requirements-test.txt")


def pins_of(name: str) -> dict[str, str]:
    """Package -> version that a requirements file wants of this Python on this machine."""
    pins: dict[str, str] = {}
    for line in (REPOSITORY / name).read_text().splitlines():
        if not re.match(r"[a-z0-9]", line):
            continue
        pin = Requirement(line.rstrip("\\ "))
        if pin.marker is None or pin.marker.evaluate():
            assert pin.name not in pins, f"{pin.name} is pinned twice in {name}"
            pins[pin.name] = str(pin.specifier).removeprefix("==")
    return pins


@pytest.fixture
def repository(tmp_path) -> Path:
    """A copy of what the scripts read, so that they may write beside themselves."""
    copy = tmp_path / "repository"
    (copy / "resources").mkdir(parents=True)
    shutil.copytree(REPOSITORY / "test", copy / "test")
    for path in [*REPOSITORY.glob("*.sh"), *REPOSITORY.glob("requirements*.txt"), REPOSITORY / "pyproject.toml"]:
        shutil.copy(path, copy)
    shutil.copytree(REPOSITORY / "resources/registration", copy / "resources/default")
    return copy


@pytest.fixture
def tools(tmp_path, monkeypatch) -> Path:
    """A folder that comes first on PATH; see `install`."""
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    for name in ("CONTAINER_ENGINE", "CONTAINER_GLOBAL_FLAGS", "CONTAINER_BUILD_FLAGS", "CONTAINER_RUN_FLAGS", "IMAGE"):
        monkeypatch.delenv(name, raising=False)
    return folder


def install(folder: Path, name: str, body: str = "") -> None:
    """A command that notes its arguments in NAME.log, one call a line, and then does `body`."""
    path = folder / name
    path.write_text(f'#!/usr/bin/env bash\necho "$*" >>"{folder}/{name}.log"\n{body}\n')
    path.chmod(0o755)


def calls(folder: Path, name: str) -> list[str]:
    log = folder / f"{name}.log"
    return log.read_text().splitlines() if log.exists() else []


def run(*command: object, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(word) for word in command], env=os.environ | environment, capture_output=True, text=True, timeout=120
    )


def engine(repository: Path, **environment: str) -> str:
    """What container_engine.sh settles on, as "engine with its global flags|build flags|run flags"."""
    script = 'source test/container_engine.sh; echo "${ENGINE[*]}|${BUILD_FLAGS[*]}|${RUN_FLAGS[*]}"'
    result = run("bash", "-c", f"set -euo pipefail; cd {repository}; {script}", **environment)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_is_executable_and_parses(script):
    path = REPOSITORY / script
    assert run("bash", "-n", path).returncode == 0
    assert os.access(path, os.X_OK) or path.name == "container_engine.sh"  # that one is sourced


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_has_nothing_to_say():
    result = run("shellcheck", "-x", *(REPOSITORY / script for script in SCRIPTS))
    assert result.returncode == 0, result.stdout


def test_docker_is_taken_where_its_daemon_answers_and_podman_otherwise(repository, tools):
    install(tools, "podman")
    install(tools, "docker")
    assert engine(repository).startswith("docker|")
    install(tools, "docker", '[[ $1 != info ]] || { echo "no daemon" >&2; exit 1; }')
    assert engine(repository).startswith("podman")
    assert engine(repository, CONTAINER_ENGINE="docker").startswith("docker|")


def test_given_engine_flags_replace_the_detected_ones(repository, tools):
    install(tools, "podman")
    given = {
        "CONTAINER_GLOBAL_FLAGS": "--log-level info",
        "CONTAINER_BUILD_FLAGS": "",
        "CONTAINER_RUN_FLAGS": "--pids-limit 99",
    }
    assert engine(repository, CONTAINER_ENGINE="podman", **given) == "podman --log-level info||--pids-limit 99"


def test_an_engine_that_is_not_installed_is_bad_input(repository, tools):
    result = run(repository / "build.sh", CONTAINER_ENGINE="no-such-engine")
    assert result.returncode == 2
    assert "expected an installed engine, found no-such-engine" in result.stderr


@pytest.fixture
def pip_settings(tmp_path, monkeypatch) -> dict[str, str]:
    """A pip configured by file: a certificate, a local index and a folder of wheels."""
    for name in ("index/simple", "wheels"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "ca.pem").write_text("certificate")
    settings = tmp_path / "pip.conf"
    settings.write_text(
        f"[global]\ncert = {tmp_path}/ca.pem\n"
        f"extra-index-url = file://{tmp_path}/index/simple\nfind-links = {tmp_path}/wheels\n"
    )
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    return {"PIP_CONFIG_FILE": str(settings), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def test_build_mounts_the_hosts_pip_settings_and_bakes_none_in(repository, tools, tmp_path, pip_settings):
    # The secrets are read while the engine runs: build.sh deletes them afterwards.
    keep = (
        'for word; do case $word in id=pip_conf,src=*) cp "${word#id=pip_conf,src=}" '
        + f'"{tmp_path}/seen.conf";; esac; done'
    )
    install(tools, "podman", keep)
    pip_settings["PATH"] = f"{tools}:{pip_settings['PATH']}"
    result = run(
        repository / "build.sh", CONTAINER_ENGINE="podman", BASE_IMAGE="localhost/base:1", IMAGE="trial", **pip_settings
    )
    assert result.returncode == 0, result.stderr
    (call,) = calls(tools, "podman")
    (index_mount,) = re.findall(rf"--volume {tmp_path}/index:(/mnt/pip-\d):ro", call)
    (wheels_mount,) = re.findall(rf"--volume {tmp_path}/wheels:(/mnt/pip-\d):ro", call)
    assert f"--secret id=ca_bundle,src={tmp_path}/ca.pem" in call
    assert "--tag trial" in call
    assert [word for word in call.split() if "build-arg" in word or word.startswith("BASE_IMAGE")] == [
        "--build-arg",
        "BASE_IMAGE=localhost/base:1",
    ]
    seen = (tmp_path / "seen.conf").read_text()
    assert f"extra-index-url = file://{index_mount}/simple" in seen
    assert f"find-links = {wheels_mount}\n" in seen
    assert "cert = /run/secrets/ca_bundle" in seen


def test_docker_cannot_mount_a_local_index_and_build_says_so(repository, tools, tmp_path, pip_settings):
    install(tools, "docker")
    pip_settings["PATH"] = f"{tools}:{pip_settings['PATH']}"
    result = run(repository / "build.sh", CONTAINER_ENGINE="docker", **pip_settings)
    assert result.returncode == 2
    assert f"docker build cannot mount {tmp_path}/" in result.stderr
    assert not any("build" in call for call in calls(tools, "docker"))


def test_build_wants_a_default_bundle(repository, tools):
    install(tools, "podman")
    (repository / "resources/default/bundle.json").unlink()
    result = run(repository / "build.sh", CONTAINER_ENGINE="podman")
    assert result.returncode == 2
    assert "resources/default/bundle.json: expected the default model bundle" in result.stderr
    assert calls(tools, "podman") == []


def test_export_writes_the_image_and_the_bundle(repository, tools, tmp_path):
    install(tools, "podman", f'if [[ $* == *save* ]]; then tar -C "{REPOSITORY}" -c pyproject.toml; fi')
    result = run(repository / "export.sh", REPOSITORY / "resources/static", CONTAINER_ENGINE="podman")
    assert result.returncode == 0, result.stderr
    with tarfile.open(repository / "model.tar.gz") as model:
        assert "./bundle.json" in model.getnames()  # at the top: the platform unpacks it at /opt/ml/model
        bundle = model.extractfile("./bundle.json").read()
    assert bundle == (REPOSITORY / "resources/static/bundle.json").read_bytes()
    with tarfile.open(repository / "cinetrack.tar.gz") as image:
        assert image.getnames() == ["pyproject.toml"]
    assert list(repository.glob("*.part")) == []


def test_a_failed_export_leaves_the_earlier_file_and_no_half_one(repository, tools):
    (repository / "cinetrack.tar.gz").write_bytes(b"earlier")
    install(tools, "podman", "if [[ $* == *save* ]]; then echo half; exit 1; fi")
    assert run(repository / "export.sh", CONTAINER_ENGINE="podman").returncode == 1
    assert (repository / "cinetrack.tar.gz").read_bytes() == b"earlier"
    assert list(repository.glob("*.part")) == []


def test_export_of_a_folder_without_a_bundle_is_bad_input(repository, tools, tmp_path):
    install(tools, "podman")
    result = run(repository / "export.sh", tmp_path, CONTAINER_ENGINE="podman")
    assert result.returncode == 2
    assert f"{tmp_path}/bundle.json: expected a model bundle, found none" in result.stderr


def test_the_container_run_wants_a_built_image(repository, tools, dataset):
    install(tools, "podman", "[[ $* != *inspect* ]]")
    result = run(repository / "test/run_container.sh", dataset / "A_001", CONTAINER_ENGINE="podman")
    assert result.returncode == 2
    assert "image cinetrack: expected it built, found none; run ./build.sh" in result.stderr


@pytest.fixture
def python(tools) -> Path:
    """An interpreter whose environments hold no packages but note what pip was told."""
    body = f"""
if [[ $1 == -c || $1 == --version ]]; then exec {sys.executable} "$@"; fi
if [[ $1 == -m && $2 == venv ]]; then mkdir -p .venv/bin && cp "$0" .venv/bin/python; fi
if [[ $* == *"pip install"* && -e {tools}/no-network ]]; then exit 1; fi
"""
    install(tools, "python-trial", body)
    return tools / "python-trial"


def pip_calls(tools: Path) -> list[str]:
    return [call for call in calls(tools, "python-trial") if call.startswith("-m ") and "pip install" in call]


def test_set_up_installs_torch_before_sam2_and_the_library_last(repository, tools, python):
    result = run(repository / "test/set_up.sh", PYTHON=str(python))
    assert result.returncode == 0, result.stderr
    torch, packages, library = pip_calls(tools)
    assert "requirements-torch.txt" in torch
    assert "--no-build-isolation" in packages and "requirements-test.txt" in packages
    assert "--no-deps --no-build-isolation --editable ." in library


def test_set_up_does_nothing_the_second_time_and_installs_again_when_a_pin_moves(repository, tools, python):
    assert run(repository / "test/set_up.sh", PYTHON=str(python)).returncode == 0
    assert run(repository / "test/set_up.sh", PYTHON=str(python)).returncode == 0
    assert len(pip_calls(tools)) == 3
    with (repository / "requirements.txt").open("a") as pins:
        pins.write("tqdm==1.0\n")
    assert run(repository / "test/set_up.sh", PYTHON=str(python)).returncode == 0
    assert len(pip_calls(tools)) == 6


def test_set_up_starts_again_after_an_installation_that_failed(repository, tools, python):
    (tools / "no-network").touch()
    assert run(repository / "test/set_up.sh", PYTHON=str(python)).returncode == 1
    (tools / "no-network").unlink()
    assert run(repository / "test/set_up.sh", PYTHON=str(python)).returncode == 0
    assert len(pip_calls(tools)) == 1 + 3


@pytest.mark.parametrize("interpreter", ["no-such-python", "python-old"])
def test_set_up_says_which_python_it_wants(repository, tools, interpreter):
    install(tools, "python-old", "if [[ $1 == --version ]]; then echo Python 3.8.0; else exit 1; fi")
    result = run(repository / "test/set_up.sh", PYTHON=interpreter)
    assert result.returncode == 2
    assert f"expected Python 3.11 to 3.13, found {interpreter}" in result.stderr
    assert not (repository / ".venv").exists()


def test_the_pins_cover_what_pyproject_asks_for():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    for name, asked_for in (
        ("requirements.txt", project["dependencies"]),
        ("requirements-test.txt", [*project["dependencies"], *(text for extra in extras for text in extra)]),
    ):
        pins = pins_of(name)
        for text in asked_for:
            wanted = Requirement(text)
            pinned = pins.get(canonicalize_name(wanted.name))
            assert pinned is not None, f"{wanted.name} is not pinned in {name}; see test/lock.sh"
            assert wanted.specifier.contains(pinned), f"{text} is pinned at {pinned} in {name}"


def test_each_requirements_file_holds_the_one_before_it():
    torch, runtime, everything = map(pins_of, LOCKED)
    assert torch.items() < runtime.items() < everything.items()


@pytest.mark.parametrize("name", LOCKED)
def test_every_pin_has_checksums_and_no_index_is_named(name):
    text = (REPOSITORY / name).read_text()
    for pin in re.split(r"\n(?=[a-z])", text.split("\n", 2)[2]):
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", pin), pin.splitlines()[0]
    assert not re.search(r"://|--(extra-)?index-url|--find-links", text)
