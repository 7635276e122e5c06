"""A run of the command that kills itself, as a machine that fails would, at a given moment.

Usage: killed_run.py MOMENT WORD... ; the words are those after `cinetrack finetune`.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import torch

from cinetrack.cli.main import main
from cinetrack.finetuning import run_log


def kill_at_step(number: int) -> None:
    """During the epoch: after so many steps of this process."""
    done = []
    step = run_log.RunLog.step

    def counted(log, loss):
        step(log, loss)
        done.append(loss)
        if len(done) == number:
            _die()

    run_log.RunLog.step = counted


def kill_while_writing(name: str, epoch: int) -> None:
    """With half of a checkpoint on disk."""
    save = torch.save

    def half(checkpoint, file):
        save(checkpoint, file)
        if f".{name}." in Path(file.name).name and checkpoint["epoch"] == epoch:
            file.flush()
            os.truncate(file.name, os.path.getsize(file.name) // 2)
            _die()

    torch.save = half


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


MOMENTS = {
    "third of four steps of epoch 2": lambda: kill_at_step(7),
    "last.pt of epoch 2": lambda: kill_while_writing("last", 2),
    "best.pt of epoch 1": lambda: kill_while_writing("best", 1),
    "first of two steps of epoch 2": lambda: kill_at_step(3),
    "step 1": lambda: kill_at_step(1),
}

if __name__ == "__main__":
    # Of several processes the first dies, and torchrun ends the others.
    if os.environ.get("RANK", "0") == "0":
        MOMENTS[sys.argv[1]]()
    sys.exit(main(["finetune", *sys.argv[2:]]))
