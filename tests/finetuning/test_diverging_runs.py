"""A fine-tuning that cannot learn stops with a line; its checkpoints are finite and read without running code."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import torch
from tiny import load
from training.model.sam2 import SAM2Train

from cinetrack.cli.main import main


class Planted:
    """Unpickling one makes a file."""

    def __init__(self, written: Path) -> None:
        self.written = written

    def __reduce__(self):
        return os.system, (f"touch '{self.written}'",)


def test_a_loss_that_is_no_number_ends_the_run_with_a_line_and_no_checkpoint(refused, discs, monkeypatch):
    forward = SAM2Train.forward

    def spoilt(self, *arguments):
        self.image_encoder.neck.convs[0].conv.weight.data.fill_(float("nan"))
        return forward(self, *arguments)

    monkeypatch.setattr(SAM2Train, "forward", spoilt)
    line = refused("--val-share", "0", data=discs)
    assert "run: expected a finite loss, found nan in epoch 1; lower --lr" in line


def go_on(run: Path, words: tuple[str, ...]) -> int:
    return main(["finetune", *words, "-o", str(run)])


def test_going_on_runs_no_code_and_takes_no_weights_of_nan(finished_run, short_run_words, tmp_path, capsys):
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    content = load(run / "last.pt")
    torch.save({**content, "note": Planted(tmp_path / "EXECUTED")}, run / "last.pt")
    assert go_on(run, short_run_words) == 2
    assert "last.pt: expected a PyTorch checkpoint of weights and plain values, found an object of" in (
        capsys.readouterr().err
    )
    assert not (tmp_path / "EXECUTED").exists()
    name = next(iter(content["model"]))
    content["model"][name] = content["model"][name] * float("nan")
    torch.save(content, run / "last.pt")
    assert go_on(run, short_run_words) == 2
    assert f"last.pt: expected finite weights, found NaN in {name}" in capsys.readouterr().err


def test_a_training_yaml_that_refers_to_itself_is_refused(finished_run, short_run_words, tmp_path, capsys):
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    (run / "training.yaml").write_text("a: &a [*a]\n")
    assert go_on(run, short_run_words) == 2
    assert "training.yaml: expected yaml that does not refer to itself" in capsys.readouterr().err
