"""Worker processes end with the process that started them, and a killed command goes on where it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from killed_processes import kill_and_expect_no_orphans
from prediction_writing import write_prediction

from cinetrack.errors import InputError
from cinetrack.runs.failure import Failure
from cinetrack.runs.processes import in_processes
from cinetrack.sequence import CineSequence
from cinetrack.sequence.trackrad_dataset import write_case

ROOT = Path(__file__).resolve().parents[2]


def start(*command: object, **environment: str) -> subprocess.Popen:
    words = [sys.executable, *map(str, command)]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen(words, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def wait_for(condition, process: subprocess.Popen, seconds: float = 60):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def workers_of(process: subprocess.Popen, count: int) -> list[psutil.Process]:
    """The worker processes once there are `count`; the tracker of shared memory, which ends by itself, is none."""

    def found() -> list[psutil.Process]:
        children = psutil.Process(process.pid).children(recursive=True)
        workers = [child for child in children if "resource_tracker" not in " ".join(child.cmdline())]
        return workers if len(workers) >= count else []

    return wait_for(found, process)


def hidden(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob(".*")]


def test_a_killed_phantom_leaves_no_worker_and_goes_on_where_it_was(tmp_path):
    command = ("-m", "cinetrack", "phantom", tmp_path, "--cases", 3, "--seed", 3, "--frames", 8, "--size", 130, 150)
    process = start(*command, "--workers", 2)
    wait_for(lambda: hidden(tmp_path), process)  # in the middle of a case
    kill_and_expect_no_orphans(process, workers_of(process, 2))
    done = {path.parent: path.stat().st_mtime_ns for path in tmp_path.glob("P3_*/phantom.json")}
    assert len(done) < 3  # a draft may have been finished between the look and the kill
    again = start(*command, "--workers", 2)
    assert again.wait(120) == 0, again.stderr.read()
    assert not hidden(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"P3_{number:04d}" for number in range(1, 4)]
    assert all((folder / "phantom.json").stat().st_mtime_ns == moment for folder, moment in done.items())


@pytest.mark.parametrize("command", ["evaluate", "report"])
def test_a_killed_command_leaves_no_worker(command, tmp_path):
    frames = np.tile(np.arange(96, dtype=np.uint16), (150, 96, 1))
    masks = np.zeros(frames.shape, bool)
    masks[:, 30:50, 40:60] = True
    for name in "ABCDEF":
        write_case(tmp_path / "truth", name, CineSequence(frames, (1.0, 1.0), 4.0, 0.35, "thorax"), masks)
        write_prediction(tmp_path / "predictions", name, masks)
    output = tmp_path / ("out" if command == "report" else "metrics.json")
    options = ("--truth", tmp_path / "truth", "-o", output, "--workers", 2)
    process = start("-m", "cinetrack", command, tmp_path / "predictions", *options)
    kill_and_expect_no_orphans(process, workers_of(process, 2))


FORKING = """
import multiprocessing, sys, time
from cinetrack.runs.processes import forks_die_with_this_process
forks_die_with_this_process()
multiprocessing.get_context("fork").Process(target=time.sleep, args=(120,)).start()
time.sleep(120)
"""


@pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="no forks here")
def test_processes_that_a_library_forks_end_too():
    process = start("-c", FORKING)
    kill_and_expect_no_orphans(process, workers_of(process, 1))


def test_elsewhere_than_on_linux_a_thread_sees_to_it():
    process = start("-c", "import sys; sys.platform = 'other'\n" + FORKING)
    kill_and_expect_no_orphans(process, workers_of(process, 1))


def half(number: int) -> float:
    if number < 0:
        raise InputError(f"expected 0 or more, found {number}")
    return 1 / number


def end(number: int) -> int:
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bad_item_and_a_fault_of_ours_end_no_other(workers):
    told = []
    found = list(in_processes(half, [2, -1, 0, 4], str, workers, lambda *counts: told.append(counts)))
    assert [item for item, _ in found] == [2, -1, 0, 4]
    good, bad, ours, last = (outcome for _, outcome in found)
    assert (good, last) == (0.5, 0.25)
    assert bad == Failure("-1", "expected 0 or more, found -1", is_input=True)
    assert ours == Failure("0", "ZeroDivisionError: division by zero", is_input=False)
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_killed_worker_is_said_to_be_one():
    with pytest.raises(RuntimeError, match="a worker process was killed, most likely for want of memory"):
        list(in_processes(end, [0, 1, 2], str, 2))


def test_a_killed_predict_goes_on_without_what_it_left_and_with_what_others_left(tmp_path):
    frames = np.random.default_rng(0).random((60, 200, 200)).astype(np.float32)
    masks = np.zeros(frames.shape, bool)
    masks[:, 30:50, 40:60] = True
    for name in "AB":
        write_case(tmp_path / "data", name, CineSequence(frames, (1.0, 1.0), 4.0, 0.35, "thorax"), masks)
    out = tmp_path / "out"
    command = ("-m", "cinetrack", "predict", tmp_path / "data", "-o", out, "--model", ROOT / "resources/static")
    # Killed between the draft's last byte and its new name.
    stop = "import os, signal; os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
    run = "from cinetrack.cli.main import main; import sys; sys.exit(main())"
    killed = start("-c", stop + run, *command[2:])
    assert killed.wait(60) == -signal.SIGKILL, killed.stderr.read()
    (left,) = hidden(out)
    assert "cinetrack-draft" in left
    notes = out / "A/images/mri-linac-series-targets/.notes.mha"
    notes.write_text("somebody's")
    again = start(*command)
    assert again.wait(60) == 0, again.stderr.read()
    assert hidden(out) == [str(notes.relative_to(out))]
    assert {json.loads(path.read_text())["case_id"] for path in out.glob("*/prediction.json")} == {"A", "B"}
