"""Two processes under torchrun train as one does that accumulates, resume, and share the validation."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny import MASK_PROMPTS, REPOSITORY, assert_equal_states, load, write_disc_dataset, write_tiny_config

from cinetrack.cli.main import main
from cinetrack.finetuning.tables import read_table

DRIVER = Path(__file__).with_name("killed_run.py")

pytestmark = pytest.mark.slow


def torchrun(*words: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    return subprocess.run([*command, *map(str, words)], capture_output=True, text=True, env=environment, cwd=REPOSITORY)


@pytest.fixture(scope="module")
def words(tmp_path_factory) -> tuple[str, ...]:
    """Two patients to train on and three to validate with; nothing is drawn during a step."""
    folder = tmp_path_factory.mktemp("two")
    config = write_tiny_config(folder / "still.yaml", dropout=0.0)
    data = write_disc_dataset(folder / "data", 5)
    return ("--data", str(data), "--config", str(config), "--init", "scratch", "--device", "cpu", "--val-share", "0.6",
            *("--clip-frames", "3", "--epochs", "2", "--val-every", "1", "--workers", "1", *MASK_PROMPTS))  # fmt: skip


@pytest.fixture(scope="module")
def two_processes(words, tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess]:
    run = tmp_path_factory.mktemp("unbroken") / "run"
    done = torchrun("-m", "cinetrack", "finetune", *words, "-o", run)
    assert done.returncode == 0, done.stderr
    return run, done


def test_two_processes_train_as_one_that_accumulates(two_processes, words, tmp_path):
    """Which they would not, had each not its own clips, or were the gradients not averaged."""
    run, done = two_processes
    assert done.stdout == ""
    assert main(["finetune", *words, "--accumulate", "2", "-o", str(tmp_path / "one")]) == 0
    ours, theirs = load(run / "last.pt"), load(tmp_path / "one/last.pt")
    steps = {int(state["step"]) for state in ours["optimizer"]["state"].values()}
    assert steps == {4} == {int(state["step"]) for state in theirs["optimizer"]["state"].values()}
    moved = 0.0
    start = load(run / "best.pt")["model"] if load(run / "best.pt")["epoch"] == 0 else None
    for name, value in theirs["model"].items():
        torch.testing.assert_close(ours["model"][name], value, rtol=1e-4, atol=2e-6)
        if start is not None:
            moved = max(moved, float((value - start[name]).abs().max()))
    assert start is None or moved > 5e-6
    alone, shared = (read_table(folder / "validation.csv") for folder in (tmp_path / "one", run))
    assert shared[0] == alone[0]  # of the same weights: to the last digit
    assert [row["epoch"] for row in shared] == ["0", "1", "2"]


def test_two_processes_resume_where_they_were_killed(two_processes, words, tmp_path):
    run = tmp_path / "run"
    killed = torchrun(DRIVER, "first of two steps of epoch 2", *words, "-o", run)
    assert killed.returncode != 0 and "Signal 9" in killed.stderr, killed.stderr
    assert load(run / "last.pt")["epoch"] == 1
    done = torchrun("-m", "cinetrack", "finetune", *words, "-o", run)
    assert done.returncode == 0, done.stderr
    unbroken, _ = two_processes
    ours, theirs = load(run / "last.pt"), load(unbroken / "last.pt")
    for key in ("model", "optimizer", "steps", "epoch"):
        assert_equal_states(ours[key], theirs[key], key)
    assert read_table(run / "validation.csv") == read_table(unbroken / "validation.csv")


def test_bad_input_ends_every_process(words, tmp_path):
    done = torchrun("-m", "cinetrack", "finetune", *words, "--batch-clips", "3", "-o", tmp_path / "run")
    assert done.returncode != 0
    assert "--batch-clips: expected at most the 2 clips of a process an epoch, found 3" in done.stderr
    assert not (tmp_path / "run/last.pt").exists()
