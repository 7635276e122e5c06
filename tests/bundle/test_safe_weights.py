"""Checkpoints of the trainers load; a checkpoint that carries code does not, and its code does not run."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from cinetrack.bundle.safe_weights import load_weights
from cinetrack.errors import BundleError


class RunsACommand:
    """Unpickling one writes a file."""

    def __init__(self, written: Path) -> None:
        self.written = written

    def __reduce__(self):
        return os.system, (f"touch {self.written}",)


class CallsEval:
    def __reduce__(self):
        return eval, ("1 + 1",)


def trainer_checkpoint() -> dict:
    """What nnU-Net's and SAM2's trainers save beside the weights."""
    layer = torch.nn.Linear(3, 2)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1e-2, momentum=0.99)
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return {
        "model": layer.state_dict(),
        "optimizer": optimizer.state_dict(),
        "logging": {"ema": [np.float64(0.9)], "losses": [np.float32(-0.5)], "n": np.int64(7), "best": np.bool_(True)},
        "init_args": {"device": torch.device("cpu"), "fold": 0, "unpack": True, "axes": (0, 1)},
        "steps": {"train": 40, "val": 0},
        "scaler": None,
    }


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_weights_optimizer_state_and_numpy_numbers_come_back_as_saved(tmp_path, zipped):
    saved = trainer_checkpoint()
    torch.save(saved, tmp_path / "checkpoint.pt", _use_new_zipfile_serialization=zipped)
    loaded = load_weights(tmp_path / "checkpoint.pt")
    assert loaded.keys() == saved.keys()
    for name, tensor in saved["model"].items():
        torch.testing.assert_close(loaded["model"][name], tensor, rtol=0, atol=0)
    assert loaded["logging"] == saved["logging"]
    assert isinstance(loaded["logging"]["losses"][0], np.float32)
    assert loaded["init_args"] == saved["init_args"]


@pytest.mark.parametrize("package", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_numbers_written_by_numpy_1_and_2_both_load(tmp_path, package):
    path = tmp_path / "checkpoint.pt"
    torch.save({"score": np.float64(0.25)}, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    written_by = b"numpy._core.multiarray" if b"numpy._core.multiarray" in content else b"numpy.core.multiarray"
    path.write_bytes(content.replace(written_by, package))
    assert load_weights(path) == {"score": 0.25}


@pytest.mark.parametrize("place", ["beside the weights", "instead of a dictionary", "in a plain pickle"])
def test_a_checkpoint_that_carries_a_command_is_refused_and_the_command_does_not_run(tmp_path, place):
    path, written = tmp_path / "checkpoint.pt", tmp_path / "written"
    command = RunsACommand(written)
    if place == "in a plain pickle":
        path.write_bytes(pickle.dumps({"model": command}, protocol=2))
    else:
        torch.save({"model": {}, "note": command} if place == "beside the weights" else command, path)
    with pytest.raises(BundleError, match=r"checkpoint\.pt: expected a PyTorch checkpoint of weights and plain values"):
        load_weights(path)
    assert not written.exists()
    # The same file does run its command where it is loaded the old way: the test can fail.
    with path.open("rb") as file:
        pickle.load(file) if place == "in a plain pickle" else torch.load(path, weights_only=False)
    assert written.exists()


@pytest.mark.parametrize("thing", [CallsEval(), Path("a"), np.array([object()])])
def test_objects_other_than_plain_values_are_refused_by_name(tmp_path, thing):
    torch.save({"model": {}, "thing": thing}, tmp_path / "checkpoint.pt")
    with pytest.raises(BundleError, match=r"found an object of \S+"):
        load_weights(tmp_path / "checkpoint.pt")


def test_a_numpy_scalar_of_object_type_is_refused(tmp_path):
    class Smuggled:
        def __reduce__(self):
            return np.float64(0).__reduce__()[0], (np.dtype("O"), b"\0" * 8)

    torch.save({"thing": Smuggled()}, tmp_path / "checkpoint.pt")
    with pytest.raises(BundleError, match="expected a PyTorch checkpoint of weights and plain values"):
        load_weights(tmp_path / "checkpoint.pt")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut off", b"\x80\x02}q\x00"])
def test_damaged_files_are_named(tmp_path, content):
    (tmp_path / "checkpoint.pt").write_bytes(content)
    with pytest.raises(BundleError, match=r"checkpoint\.pt: expected a PyTorch checkpoint"):
        load_weights(tmp_path / "checkpoint.pt")


def test_a_truncated_checkpoint_is_named(tmp_path):
    torch.save(trainer_checkpoint(), tmp_path / "checkpoint.pt")
    whole = (tmp_path / "checkpoint.pt").read_bytes()
    (tmp_path / "checkpoint.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BundleError, match=r"checkpoint\.pt: expected a PyTorch checkpoint, found an unreadable file"):
        load_weights(tmp_path / "checkpoint.pt")


def test_a_checkpoint_of_a_bare_tensor_is_refused(tmp_path):
    torch.save(torch.zeros(3), tmp_path / "checkpoint.pt")
    with pytest.raises(BundleError, match="with a dictionary, found a Tensor"):
        load_weights(tmp_path / "checkpoint.pt")


def test_what_was_allowed_for_one_file_is_not_allowed_afterwards(tmp_path):
    torch.save({"score": np.float64(0.25)}, tmp_path / "checkpoint.pt")
    before = set(torch.serialization.get_safe_globals())
    load_weights(tmp_path / "checkpoint.pt")
    assert set(torch.serialization.get_safe_globals()) == before
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "checkpoint.pt", weights_only=True)
