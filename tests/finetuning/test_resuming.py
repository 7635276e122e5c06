"""A run that is killed at any moment ends as if it had not been, to the last bit."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import REPOSITORY, assert_equal_states, load

from cinetrack.cli.main import main

DRIVER = Path(__file__).with_name("killed_run.py")


def killed(moment: str, *words: object) -> subprocess.CompletedProcess:
    command = [sys.executable, str(DRIVER), moment, *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def assert_same_run(found: Path, expected: Path) -> None:
    for name in ("losses.csv", "validation.csv"):
        assert table(found / name) == table(expected / name)
    ours, theirs = load(found / "last.pt"), load(expected / "last.pt")
    assert ours.keys() == theirs.keys() and ours["epoch"] == 2
    for key in ("model", "optimizer", "loss", "steps", "epoch", "scaler"):
        if key in theirs:
            assert_equal_states(ours[key], theirs[key], key)
    assert_equal_states(load(found / "best.pt"), load(expected / "best.pt"))
    assert sorted(path.name for path in found.iterdir()) == sorted(path.name for path in expected.iterdir())


@pytest.mark.parametrize(
    ("moment", "workers", "workers_after"),
    [
        ("third of four steps of epoch 2", 2, 1),
        pytest.param("third of four steps of epoch 2", 0, 0, marks=pytest.mark.slow),
        pytest.param("last.pt of epoch 2", 0, 2, marks=pytest.mark.slow),
        pytest.param("best.pt of epoch 1", 1, 0, marks=pytest.mark.slow),
        pytest.param("step 1", 1, 0, marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_goes_on_as_if_it_had_not_been(
    moment, workers, workers_after, finished_run, short_run_words, tmp_path
):
    """The run that it is compared with had no workers: their number changes nothing."""
    run = tmp_path / "run"
    first = killed(moment, *short_run_words, "-o", run, "--workers", workers)
    assert first.returncode == -9, first.stderr
    done_before = load(run / "last.pt")["epoch"] if (run / "last.pt").exists() else 0
    assert done_before == (0 if moment == "step 1" else 1)
    leftovers = [path for path in run.iterdir() if path.name.startswith(".")]
    assert bool(leftovers) == (".pt of" in moment)
    if moment == "best.pt of epoch 1":
        assert load(run / "best.pt")["epoch"] == 0  # whole, and the one before
    assert main(["finetune", *short_run_words, "-o", str(run), "--workers", str(workers_after)]) == 0
    assert_same_run(run, finished_run)


def test_a_finished_run_is_left_as_it_is(finished_run, short_run_words, tmp_path, capfd):
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    before = (run / "last.pt").read_bytes(), (run / "losses.csv").read_bytes(), (run / "validation.csv").read_bytes()
    assert main(["finetune", *short_run_words, "-o", str(run)]) == 0
    after = (run / "last.pt").read_bytes(), (run / "losses.csv").read_bytes(), (run / "validation.csv").read_bytes()
    assert after == before
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--lr", "2e-3"), "scratch.base_lr = 0.002 instead of 0.001"),
        (("--clip-frames", "4"), "num_frames = 4 instead of 3"),
        (("--seed", "7"), "seed = 7 instead of 123"),
        (("--set", "trainer.optim.gradient_clip.max_norm=0.2"), "max_norm = 0.2 instead of 0.1"),
    ],
)
def test_a_run_is_not_resumed_with_other_settings(words, named, finished_run, short_run_words, tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    for name in ("training.yaml", "last.pt"):
        shutil.copy(finished_run / name, run)
    assert main(["finetune", *short_run_words, "-o", str(run), *words]) == 2
    message = capsys.readouterr().err
    assert "expected the settings that the run began with" in message and named in message
    assert (run / "training.yaml").read_bytes() == (finished_run / "training.yaml").read_bytes()


def test_a_refused_run_leaves_the_architecture_beside_the_checkpoints_alone(
    finished_run, short_run_words, tmp_path, capsys
):
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    other = tmp_path / "other.yaml"
    other.write_text((run / "tracker.yaml").read_text().replace("num_maskmem: 3", "num_maskmem: 4"))
    assert main(["finetune", *short_run_words, "--config", str(other), "-o", str(run)]) == 2
    assert "expected the settings that the run began with" in capsys.readouterr().err
    assert (run / "tracker.yaml").read_bytes() == (finished_run / "tracker.yaml").read_bytes()


def test_a_run_that_has_trained_nothing_yet_takes_other_settings(finished_run, short_run_words, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(finished_run / "training.yaml", run)
    assert main(["finetune", *short_run_words, "-o", str(run), "--lr", "2e-3"]) == 0
    assert "base_lr: 0.002" in (run / "training.yaml").read_text()


def test_settings_that_cannot_be_read_are_an_error(finished_run, short_run_words, tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    (run / "last.pt").touch()
    (run / "training.yaml").write_text("trainer: [")
    assert main(["finetune", *short_run_words, "-o", str(run)]) == 2
    assert "training.yaml: expected the settings of a run" in capsys.readouterr().err
