"""A checkpoint is there whole or not at all, and a full disk is called one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cinetrack.bundle.checkpoint_file import checkpoint_file, save_checkpoint
from cinetrack.bundle.safe_weights import load_weights
from cinetrack.errors import InputError

REPOSITORY = Path(__file__).resolve().parents[2]


def test_what_is_written_is_read(tmp_path):
    save_checkpoint({"model": {"w": torch.arange(5)}, "epoch": 3}, tmp_path / "new" / "w.pt")
    assert load_weights(tmp_path / "new" / "w.pt")["model"]["w"].tolist() == [0, 1, 2, 3, 4]
    assert os.listdir(tmp_path / "new") == ["w.pt"]


def test_a_full_disk_is_said_and_the_checkpoint_before_is_kept(tmp_path):
    """A process whose files may grow to 2 MB: the nearest to a full disk that needs no rights."""
    path = tmp_path / "w.pt"
    save_checkpoint({"model": {"w": torch.ones(2)}}, path)
    before = path.read_bytes()
    code = f"""
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
import torch
from pathlib import Path
from cinetrack.bundle.checkpoint_file import save_checkpoint
from cinetrack.cli.main import run_reporting_errors
content = {{"model": {{"w": torch.zeros(3_000_000)}}}}
sys.exit(run_reporting_errors(save_checkpoint, content, Path({str(path)!r})))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {path}: expected room for a checkpoint, found no space left on the device")
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["w.pt"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's full device")
@pytest.mark.parametrize("numbers", [1, 3_000_000])
def test_a_device_that_is_full_is_said(numbers, tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "open", lambda self, mode: open("/dev/full", mode))  # noqa: SIM115
    with pytest.raises(InputError, match="found no space left on the device"):
        save_checkpoint({"model": {"w": torch.zeros(numbers)}}, tmp_path / "w.pt")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("kept", [0, 100, -30])
def test_a_file_that_is_not_whole_takes_no_ones_place(kept, tmp_path):
    """As a file system does that loses what it was given and says nothing."""
    path = tmp_path / "w.pt"
    save_checkpoint({"model": {"w": torch.ones(2)}}, path)
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"w\.pt: expected to write a checkpoint there, found a file of \d+ bytes"):
        with checkpoint_file(path) as file:
            torch.save({"model": {"w": torch.zeros(1000)}}, file)
            file.truncate(kept if kept >= 0 else file.tell() + kept)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["w.pt"]


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"w\.pt: expected to write a checkpoint there, found"):
        save_checkpoint({"model": {}}, tmp_path / "file" / "w.pt")
