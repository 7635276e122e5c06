"""Memory that runs out and packages that are missing: said with what to do about it."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tiny import REPOSITORY
from training.model.sam2 import SAM2Train

from cinetrack.cli.main import main
from cinetrack.finetuning.packages import PACKAGES, check_packages


def run_out_for_real(*_):
    torch.empty(2**50)


def run_out_in_python(*_):
    raise MemoryError


@pytest.mark.parametrize("run_out", [run_out_for_real, run_out_in_python])
def test_memory_that_runs_out_names_the_settings_to_lower(run_out, refused, discs, monkeypatch):
    monkeypatch.setattr(SAM2Train, "forward", run_out)
    line = refused("--max-objects", "2", "--val-share", "0", data=discs)
    for named in ("--batch-clips (found 1; --accumulate", "--max-objects (found 2)", "--clip-frames (found 3)"):
        assert named in line
    assert "--image-size (found 64)" in line


def test_a_killed_worker_names_the_settings_to_lower(refused, discs, monkeypatch):
    import os
    import signal

    from cinetrack.finetuning.videos import CaseVideos

    parent = os.getpid()

    def die(*_):
        assert os.getpid() != parent
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(CaseVideos, "get_video", die)
    line = refused("--workers", "1", "--val-share", "0", data=discs)
    assert "a process that prepares clips was killed" in line and "--workers (found 1)" in line


def test_other_failures_are_not_called_a_lack_of_memory(discs, tiny_config, tmp_path, monkeypatch, capsys):
    def fail(*_):
        raise RuntimeError("sizes of tensors must match")

    monkeypatch.setattr(SAM2Train, "forward", fail)
    words = ["--data", discs, "--init", "scratch", "--config", tiny_config, "-o", tmp_path / "run", "--device", "cpu",
             *("--workers", "0", "--clip-frames", "3", "--val-share", "0")]  # fmt: skip
    assert main(["finetune", *map(str, words)]) == 1
    assert "sizes of tensors must match" in capsys.readouterr().err


def in_an_environment_without(packages, *words):
    """`cinetrack` in a process that cannot import some packages."""
    code = f"""
import importlib.abc, sys
class Without(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {set(packages)!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Without())
import importlib.util
found = importlib.util.find_spec
def find_spec(name, package=None):
    try:
        return found(name, package)
    except ModuleNotFoundError:
        return None
importlib.util.find_spec = find_spec
from cinetrack.cli.main import main
sys.exit(main({[str(word) for word in words]!r}))
"""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY)


def test_without_the_extra_the_command_says_what_to_install(tmp_path, tiny_config):
    words = ["finetune", "--phantom-clips", "1", "--init", "scratch", "--config", tiny_config, "-o", tmp_path / "run"]
    done = in_an_environment_without(["tensordict", "fvcore"], *words)
    assert done.returncode == 2, done.stderr
    assert "pip install cinetrack[train]" in done.stderr and "found no tensordict, fvcore" in done.stderr
    assert in_an_environment_without(PACKAGES, "finetune", "--help").returncode == 0


def test_prediction_needs_none_of_the_extra(discs, tmp_path):
    words = [discs / "D_000", "-o", tmp_path / "masks", "--device", "cpu", "--model", REPOSITORY / "resources/default"]
    brought_by_nnunet = {re.match(r"[\w-]+", text).group() for text in importlib.metadata.requires("nnunetv2")}
    done = in_an_environment_without([*(set(PACKAGES) - brought_by_nnunet), "training"], "predict", *words)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "masks").rglob("output.mha"))


def test_the_packages_are_those_that_the_extra_names():
    import tomllib

    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    train = {text.split(">")[0].split("=")[0].split("<")[0] for text in project["optional-dependencies"]["train"]}
    assert train == set(PACKAGES)
    assert not any(name in " ".join(project["dependencies"]) for name in PACKAGES)
    check_packages()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it takes a second")
def test_what_a_training_forks_ends_with_it_even_if_it_is_killed():
    """As torch forks the processes that prepare clips."""
    code = """
import os, signal, time
import cinetrack.finetuning.trainer as trainer
from cinetrack.finetuning.run import train
from omegaconf import OmegaConf

class Killed:
    def run(self):
        if (child := os.fork()) == 0:
            time.sleep(60)
        os.write(3, str(child).encode())
        os.kill(os.getpid(), signal.SIGKILL)

trainer.FineTuningTrainer = Killed
os.dup2(1, 3)
train(OmegaConf.create({"trainer": {}, "scratch": {}}))
"""
    process = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, timeout=60)
    assert process.returncode == -9
    child, until = Path(f"/proc/{int(process.stdout)}/stat"), time.monotonic() + 10
    while child.exists() and child.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < until, "the forked process lives on"
        time.sleep(0.05)
