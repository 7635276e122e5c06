"""`cinetrack refiner train` runs no code from a file, and stops where there is nothing to learn."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from cinetrack.bundle.safe_weights import load_weights
from cinetrack.cli.main import main
from cinetrack.errors import InputError
from cinetrack.refiner_training.dataset_folders import DatasetFolders
from cinetrack.refiner_training.planning import SMALL_PLANS
from cinetrack.refiner_training.stored_properties import check_properties
from cinetrack.refiner_training.training_run import model_folder

LENGTH = ("--epochs", "2", "--iterations", "2", "--validation-iterations", "1", "--workers", "0")


class Planted:
    """Unpickling one makes a file."""

    def __init__(self, written: Path) -> None:
        self.written = written

    def __reduce__(self):
        return os.system, (f"touch '{self.written}'",)


def train(folders: DatasetFolders, results: Path, *options: str) -> int:
    words = [str(folders.raw_root), "--device", "cpu", "--folds", "0", "--results", str(results), *LENGTH, *options]
    return main(["refiner", "train", *words])


@pytest.fixture
def copied(trained, tmp_path) -> tuple[Path, Path]:
    """The trained results, copied, and the final checkpoint of fold 0 in them."""
    results = Path(shutil.copytree(trained.results_root, tmp_path / "results"))
    folders = DatasetFolders(trained.raw_root, trained.preprocessed_root, results, trained.dataset_id)
    return results, model_folder(folders, SMALL_PLANS) / "fold_0" / "checkpoint_final.pth"


@pytest.mark.parametrize("name", ["checkpoint_final.pth", "checkpoint_latest.pth", "checkpoint_best.pth"])
def test_going_on_runs_no_code_that_a_checkpoint_carries(name, planned, copied, tmp_path, capsys):
    results, final = copied
    content = torch.load(final, weights_only=False)
    for path in final.parent.glob("checkpoint_*.pth"):
        path.unlink()
    torch.save({**content, "note": Planted(tmp_path / "EXECUTED")}, final.with_name(name))
    assert train(planned, results, "--continue", "--epochs", "3") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {final.with_name(name)}: expected a PyTorch checkpoint of weights and plain values")
    assert line.endswith("found an object of posix.system")
    assert not (tmp_path / "EXECUTED").exists()


def test_nnunets_own_loading_runs_no_code_either(planned, copied, tmp_path):
    """Whoever puts the file there after the checks."""
    from test_training import initialized

    _, final = copied
    torch.save({**torch.load(final, weights_only=False), "note": Planted(tmp_path / "EXECUTED")}, final)
    trainer = initialized(planned)
    with pytest.raises(pickle.UnpicklingError):
        trainer.load_checkpoint(str(final))
    assert not (tmp_path / "EXECUTED").exists()


def test_weights_to_start_from_run_no_code_and_are_finite(planned, copied, tmp_path, capsys):
    _, final = copied
    content = torch.load(final, weights_only=False)
    planted, spoilt = tmp_path / "planted.pth", tmp_path / "spoilt.pth"
    torch.save({**content, "note": Planted(tmp_path / "EXECUTED")}, planted)
    name = list(content["network_weights"])[3]
    content["network_weights"][name] = content["network_weights"][name] * float("nan")
    torch.save(content, spoilt)
    for path, message in ((planted, "found an object of posix.system"), (spoilt, f"found NaN in {name}")):
        assert train(planned, tmp_path / "new", "--pretrained", str(path)) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "EXECUTED").exists() and not (tmp_path / "new").exists()


def test_a_checkpoint_of_nan_is_not_gone_on_from(planned, copied, capsys):
    results, final = copied
    content = torch.load(final, weights_only=False)
    for value in content["network_weights"].values():
        value.fill_(float("nan"))
    torch.save(content, final)
    assert train(planned, results, "--continue", "--epochs", "3") == 2
    assert f"{final}: expected finite weights, found NaN in " in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["a command", "no pickle", "a list"])
def test_a_samples_properties_run_no_code(kind, planned, tmp_path, capsys):
    preprocessed = Path(shutil.copytree(planned.preprocessed_root, tmp_path / "preprocessed"))
    path = sorted((preprocessed / planned.name / f"{SMALL_PLANS}_2d").glob("*.pkl"))[1]
    properties = pickle.loads(path.read_bytes())
    written = {
        "a command": pickle.dumps({**properties, "note": Planted(tmp_path / "EXECUTED")}),
        "no pickle": b"\x80\x04no pickle",
        "a list": pickle.dumps([1]),
    }
    path.write_bytes(written[kind])
    assert train(planned, tmp_path / "results", "--preprocessed", str(preprocessed)) == 2
    assert f"{path}: expected a sample's properties" in capsys.readouterr().err
    assert not (tmp_path / "EXECUTED").exists() and not (tmp_path / "results").exists()


@pytest.mark.parametrize("damage", ["garbage", "cut off", "empty"])
def test_a_samples_array_that_cannot_be_read_is_named_before_training(damage, planned, tmp_path, capsys):
    preprocessed = Path(shutil.copytree(planned.preprocessed_root, tmp_path / "preprocessed"))
    path = sorted((preprocessed / planned.name / f"{SMALL_PLANS}_2d").glob("*_seg.b2nd"))[1]
    content = path.read_bytes()
    path.write_bytes({"garbage": b"garbage", "cut off": content[: len(content) // 2], "empty": b""}[damage])
    assert train(planned, tmp_path / "results", "--preprocessed", str(preprocessed)) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert f"{path}: expected a sample's array" in line and not (tmp_path / "results").exists()


@pytest.mark.parametrize("protocol", range(3, pickle.HIGHEST_PROTOCOL + 1))
def test_properties_as_nnunet_writes_them_are_read(protocol, tmp_path):
    locations = {1: np.arange(12).reshape(3, 4), (0, 1): np.zeros((0, 4), np.int64)}
    content = {"spacing": [999.0, 1.0, np.float32(1)], "class_locations": locations, "bbox": [[0, 1]], "shape": (1, 2)}
    (tmp_path / "sample.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
    check_properties(tmp_path)


def no_loss(self):
    def loss(output, target):
        return (output[0] if isinstance(output, (list, tuple)) else output).sum() * float("nan")

    return loss


def test_a_loss_that_is_no_number_ends_the_training_with_a_line_and_no_checkpoint(
    planned, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(nnUNetTrainer, "_build_loss", no_loss)
    assert train(planned, tmp_path / "results") == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert "fold_0: expected a finite loss, found a training loss of nan in epoch 1; lower --lr" in line
    assert not list((tmp_path / "results").rglob("*.pth"))


def test_a_validation_loss_that_is_no_number_ends_it_as_well(planned, tmp_path, monkeypatch, capsys):
    def validation_step(self, batch):
        return {**step(self, batch), "loss": np.float32("nan")}

    step = nnUNetTrainer.validation_step
    monkeypatch.setattr(nnUNetTrainer, "validation_step", validation_step)
    assert train(planned, tmp_path / "results") == 2
    assert "found a validation loss of nan in epoch 1" in capsys.readouterr().err
    assert not list((tmp_path / "results").rglob("*.pth"))


def test_weights_of_nan_are_never_saved(planned, tmp_path):
    from test_training import initialized

    trainer = initialized(planned)
    next(trainer.network.parameters()).data.fill_(float("nan"))
    with pytest.raises(InputError, match=r"checkpoint_final\.pth: expected finite weights, found NaN"):
        trainer.save_checkpoint(str(tmp_path / "checkpoint_final.pth"))
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_that_does_not_fit_is_said(planned, tmp_path, monkeypatch, capsys):
    def full(content, file):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(torch, "save", full)
    assert train(planned, tmp_path / "results") == 2
    assert "expected room for a checkpoint, found no space left on the device" in capsys.readouterr().err
    assert not list((tmp_path / "results").rglob("*.pth"))


@pytest.mark.parametrize("change", ["two stages", "no stages", "no architecture"])
def test_plans_that_cannot_be_trained_are_refused(change, planned, tmp_path, capsys):
    preprocessed = Path(shutil.copytree(planned.preprocessed_root, tmp_path / "preprocessed"))
    path = preprocessed / planned.name / f"{SMALL_PLANS}.json"
    plans = json.loads(path.read_text())
    configuration = plans["configurations"]["2d"]
    if change == "no architecture":
        configuration["architecture"] = 7
    else:
        configuration["architecture"]["arch_kwargs"]["n_stages"] = 2 if change == "two stages" else "none"
    path.write_text(json.dumps(plans))
    assert train(planned, tmp_path / "results", "--preprocessed", str(preprocessed)) == 2
    assert f"error: {path}: expected " in capsys.readouterr().err


def test_a_checkpoint_that_was_written_is_whole_and_read_safely(trained):
    path = model_folder(trained, SMALL_PLANS) / "fold_0" / "checkpoint_final.pth"
    assert load_weights(path)["current_epoch"] == 2
