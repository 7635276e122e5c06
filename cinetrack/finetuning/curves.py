"""The losses and the validation of a run as one picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cinetrack.evaluation.metric_names import DICE
from cinetrack.sequence.atomic_write import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_curves(losses: list[dict[str, str]], validation: list[dict[str, str]], target: Path) -> None:
    """Draw loss over epochs, and beside it Dice and mean percent improvement where there was a validation.

    Args:
        losses, validation: rows of losses.csv and validation.csv.
        target: a png.
    """
    import matplotlib.style

    with matplotlib.style.context("default"):  # nnU-Net's own plots change the process's style
        _draw(losses, validation, target)


def _draw(losses: list[dict[str, str]], validation: list[dict[str, str]], target: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = 2 if validation else 1
    figure = Figure(figsize=(5.5 * panels, 4), layout="constrained")
    FigureCanvasAgg(figure)  # without pyplot: no global state, no display
    left, *others = figure.subplots(1, panels, squeeze=False)[0]
    epochs = [int(row["epoch"]) for row in losses]
    for name in ("loss", "loss_dice", "loss_iou", "loss_class"):
        left.plot(epochs, [float(row[name]) for row in losses], label=name)
    left.set(xlabel="epoch", ylabel="loss, sum over a clip's frames", title="Training")
    left.legend()
    for right in others:
        _draw_validation(right, validation)
    with atomic_path(target) as temporary:
        figure.savefig(temporary, dpi=100)


def _draw_validation(right: Axes, validation: list[dict[str, str]]) -> None:
    done = [int(row["epoch"]) for row in validation]
    right.plot(done, [float(row[DICE.key]) for row in validation], "o-", color="tab:blue", label=DICE.label)
    right.set(xlabel="epoch", ylabel=DICE.label, title="Validation with the streaming pipeline")
    twin = right.twinx()
    twin.plot(done, [float(row["improvement_percent"]) for row in validation], "s--", color="tab:orange")
    twin.set_ylabel("mean improvement over the start [%]", color="tab:orange")
