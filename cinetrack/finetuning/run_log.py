"""What a run tells: a progress bar, losses.csv, validation.csv, TensorBoard, and curves.png.

The tables are written whole after every epoch, so that a resumed run replaces what it does again.
"""

from __future__ import annotations

import sys
from pathlib import Path
from time import perf_counter
from typing import Any

from tqdm import tqdm

from cinetrack.finetuning.curves import draw_curves
from cinetrack.finetuning.tables import read_table, write_table
from cinetrack.finetuning.validation import VALIDATION_CSV, ValidationOutcome

LOSSES_CSV = "losses.csv"
LOSS_PARTS = ("loss_mask", "loss_dice", "loss_iou", "loss_class")
# The losses are means over the first process's clips, as upstream's are; "steps" are its batches so far.
LOSS_COLUMNS = ("epoch", "steps", "loss", *LOSS_PARTS, "lr_lowest", "lr_highest", "seconds")


class RunLog:
    """Takes the losses as they come; silent on all ranks but the first."""

    def __init__(self, run: Path, rank: int) -> None:
        self._run = run
        self._speaks = rank == 0
        self._bar: Any = None
        self._began = 0.0

    def begin_epoch(self, epoch: int, epochs: int, steps: int) -> None:
        """An epoch of so many optimiser steps begins; `epoch` counts from 0."""
        if not self._speaks:
            return
        if self._bar is None:
            self._bar = tqdm(total=epochs * steps, initial=epoch * steps, unit="step", file=sys.stderr)
        self._bar.set_description_str(f"epoch {epoch + 1}/{epochs}", refresh=False)
        self._began = perf_counter()

    def step(self, loss: float) -> None:
        """One optimiser step's loss."""
        if self._speaks:
            self._bar.set_postfix_str(f"loss {loss:.3f}", refresh=False)
            self._bar.update()

    def end_epoch(self, epoch: int, steps: int, outcome: dict[str, float], rates: tuple[float, float]) -> None:
        """Write the epoch's row. `outcome` is upstream's, keyed Losses/train_all_loss_mask and so on."""
        if not self._speaks:
            return
        values = [outcome.get(f"Losses/train_all_{part}", float("nan")) for part in LOSS_PARTS]
        row = [epoch + 1, steps, outcome["Losses/train_all_loss"], *values, *rates, perf_counter() - self._began]
        path = self._run / LOSSES_CSV
        earlier = [r for r in read_table(path) if int(r["epoch"]) <= epoch]
        rows = [[r[column] for column in LOSS_COLUMNS] for r in earlier] + [[_number(value) for value in row]]
        write_table(path, LOSS_COLUMNS, rows)
        self._draw()

    def validated(self, outcome: ValidationOutcome, logger: Any) -> None:
        """A validation is done: to TensorBoard, and a line on stderr."""
        for key, value in outcome.means.items():
            logger.log(f"Validation/{key}", value, outcome.epochs_done)
        logger.log("Validation/improvement_percent", outcome.improvement_percent, outcome.epochs_done)
        writer = logger.tb_logger.writer if logger.tb_logger else None
        if writer is not None:
            for case_id, picture in outcome.overlays.items():
                writer.add_image(f"Validation/{case_id}", picture, outcome.epochs_done, dataformats="HWC")
        tqdm.write(outcome.line, file=sys.stderr)
        self._draw()

    def close(self) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.close()

    def _draw(self) -> None:
        losses, validation = read_table(self._run / LOSSES_CSV), read_table(self._run / VALIDATION_CSV)
        draw_curves(losses, validation, self._run / "curves.png")


def _number(value: float) -> str:
    return f"{value:.6g}"
