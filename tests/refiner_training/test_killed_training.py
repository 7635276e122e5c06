"""A training that is killed leaves none of the processes that trained, augmented or waited."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from killed_processes import kill_and_expect_no_orphans

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(("folds", "processes"), [(["0"], 2), (["0", "1", "--at-once", "2"], 6)])
def test_a_killed_training_leaves_no_process(planned, tmp_path, folds, processes):
    length = ["--epochs", "500", "--iterations", "5", "--validation-iterations", "1", "--workers", "1"]
    options = ["--device", "cpu", *length, "--results", str(tmp_path), "--folds", *folds]
    command = [sys.executable, "-m", "cinetrack", "refiner", "train", str(planned.raw_root), *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    training = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    assert training.stderr.readline().startswith("fold ")  # an epoch is done: all processes are at work
    started = psutil.Process(training.pid).children(recursive=True)
    assert len(started) >= processes
    kill_and_expect_no_orphans(training, started)
