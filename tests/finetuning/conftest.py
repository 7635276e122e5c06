"""One small run that several tests look at, and what runs are made from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tiny import FAST_RATES, SHORT_RUN, finetune, write_disc_dataset, write_tiny_config

from cinetrack.cli.main import main

sys.path.append(str(Path(__file__).resolve().parents[1] / "tracking"))  # stock_sam2


@pytest.fixture(scope="session")
def tiny_config(tmp_path_factory) -> Path:
    return write_tiny_config(tmp_path_factory.mktemp("config") / "tiny.yaml")


@pytest.fixture(scope="session")
def disc_dataset(tmp_path_factory) -> Path:
    """Three labelled patients of (6, 72, 56)."""
    return write_disc_dataset(tmp_path_factory.mktemp("discs"), 3)


@pytest.fixture(scope="session")
def short_run_words(disc_dataset, tiny_config) -> tuple[str, ...]:
    """The command line of a run of two epochs, without its output."""
    return ("--data", str(disc_dataset), "--config", str(tiny_config), "--device", "cpu", *SHORT_RUN, *FAST_RATES)


@pytest.fixture(scope="session")
def finished_process(short_run_words, tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess]:
    run = tmp_path_factory.mktemp("finished") / "run"
    done = finetune(*short_run_words, "-o", run)
    assert done.returncode == 0, done.stderr
    return run, done


@pytest.fixture(scope="session")
def finished_run(finished_process) -> Path:
    """The folder of an unbroken run; look, do not touch."""
    return finished_process[0]


@pytest.fixture
def refused(tiny_config, tmp_path, capsys):
    """Runs the command on words that it must refuse; returns its line on stderr."""

    def run(*words: object, data=None, init="scratch", config=tiny_config) -> str:
        all_words = [] if data is None else ["--data", data]
        all_words += ["--init", init, "-o", tmp_path / "run", "--device", "cpu", "--workers", "0", "--epochs", "1"]
        all_words += [] if config is None else ["--config", config]
        all_words += ["--clip-frames", "3", *words]
        assert main(["finetune", *map(str, all_words)]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert not list((tmp_path / "run").glob("*.pt")) and not (tmp_path / "run/losses.csv").exists()
        (line,) = [line for line in captured.err.splitlines() if line.startswith("error: ")]
        assert "Traceback" not in captured.err
        return line

    return run


@pytest.fixture
def discs(tmp_path):
    return write_disc_dataset(tmp_path / "data", 2)
