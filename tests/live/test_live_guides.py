"""What the how-to pages on live streams, prediction and gating show works."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cinetrack.evaluation.prediction_folder import read_prediction
from cinetrack.sequence.image_files import read_series

ROOT = Path(__file__).resolve().parents[2]
PAGES = {path.stem: path.read_text() for path in sorted((ROOT / "docs" / "how-to").glob("*.md"))}
LIVE, AHEAD, GATE = (PAGES[name] for name in ("follow-a-scanner-live", "predict-ahead", "gate-the-beam"))
NOTICE = "**No medical device: research and simulation.**"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """A folder that looks like a clone, to write to, with `cinetrack` and `python` on the path."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("examples", "resources"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "bin").mkdir()
    for name, command in (("cinetrack", "-m cinetrack"), ("python", "")):
        script = folder / "bin" / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {command} "$@"\n')
        script.chmod(0o755)
    return folder


def shell(clone: Path, text: str) -> str:
    """Run a block of commands, a simulated scanner faster than the real pace and on a port of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    text = text.replace("18944", port).replace(
        "simulated_mr_linac.py", f"simulated_mr_linac.py --rate 40 --port {port}"
    )
    text = text.replace("--stop-after 3", "--stop-after 1")
    environment = {
        **os.environ,
        "PATH": f"{clone / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        ["bash", "-e", "-c", f"{text}\nwait"], cwd=clone, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_commands_of_the_live_guide_work_one_after_the_other(clone):
    pytest.importorskip("pyigtl")
    stream, score, finish, again, turns = blocks(LIVE, "bash")
    assert '"masks"' in shell(clone, stream)
    shell(clone, score)
    assert (clone / "report" / "index.html").exists() and (clone / "metrics.json").exists()
    assert "output.mha" in shell(clone, finish)
    shell(clone, again)
    first, second = (read_prediction(clone / name / "P977_0001")[0] for name in ("live", "again"))
    assert len(first) == 60 and (first == second).all()
    shell(clone, turns)
    assert len(read_prediction(clone / "turns" / "P3_0001" / "P3_0001_coronal")[0]) == 12


def test_the_live_guides_code_runs_and_is_short(clone):
    _, code = blocks(LIVE, "python")
    assert len([line for line in code.splitlines() if line and "import" not in line]) <= 20
    code = code.replace("0.125", "0.001").replace("case.sequence.frames)", "case.sequence.frames[:5])")
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=clone,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 5


def test_a_frame_written_as_the_live_guide_does_is_read_as_one(clone):
    code, _ = blocks(LIVE, "python")
    subprocess.run([sys.executable, "-c", code], cwd=clone, check=True)
    frames, geometry = read_series(clone / "frame-0001.mha")
    assert frames.shape == (1, 176, 160) and geometry.spacing_mm == (1.5, 1.5)


def test_the_commands_of_the_gating_guide_work(clone):
    gate, report = blocks(GATE, "bash")
    table = shell(clone, gate)
    assert "duty cycle" in table and len(table.splitlines()) == 9
    shell(clone, report)


@pytest.mark.parametrize("page", [AHEAD, GATE])
def test_the_code_of_the_other_guides_runs(page):
    (code,) = blocks(page, "python")
    exec(compile(code, "guide", "exec"), {})


def test_the_table_of_predictors_is_the_one_that_was_measured():
    measured = (ROOT / "benchmarks" / "results" / "prediction.md").read_text().splitlines()
    shown = [line for line in AHEAD.splitlines() if line.startswith("| ")]
    assert len(shown) == 1 + 9 and all(line in measured for line in shown)


@pytest.mark.parametrize("page", [LIVE, AHEAD, GATE])
def test_every_page_says_that_this_is_no_medical_device(page):
    assert NOTICE in page


@pytest.mark.slow
def test_the_benchmark_of_the_predictors_runs(tmp_path):
    script = ROOT / "benchmarks" / "prediction.py"
    command = [sys.executable, str(script), "--traces", "1", "--seconds", "21", "--out", str(tmp_path / "p.json")]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "p.md").read_text().splitlines()) == 2 + 3 * 2 * 6 * 3


@pytest.mark.slow
@pytest.mark.parametrize("what", ["latency", "memory"])
def test_the_benchmark_of_the_stream_runs(tmp_path, what):
    model = str(ROOT / "resources" / "static")
    command = [sys.executable, str(ROOT / "benchmarks" / "live.py"), what, "--model", model, "--side", "130"]
    command += ["--frames", "8", "--out", str(tmp_path / "r.json")]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "r.json").exists()
