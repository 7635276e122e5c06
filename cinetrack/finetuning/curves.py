"""The losses and the validation of a run as one picture."""

from __future__ import annotations

from pathlib import Path

from cinetrack.evaluation.metric_names import DICE
from cinetrack.sequence.atomic_write import atomic_path


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

    figure = Figure(figsize=(11, 4), layout="constrained")
    FigureCanvasAgg(figure)  # without pyplot: no global state, no display
    left, right = figure.subplots(1, 2)
    epochs = [int(row["epoch"]) for row in losses]
    for name in ("loss", "loss_dice", "loss_iou", "loss_class"):
        left.plot(epochs, [float(row[name]) for row in losses], label=name)
    left.set(xlabel="epoch", ylabel="loss, sum over a clip's frames", title="Training")
    left.legend()
    done = [int(row["epoch"]) for row in validation]
    right.plot(done, [float(row[DICE.key]) for row in validation], "o-", color="tab:blue", label=DICE.label)
    right.set(xlabel="epoch", ylabel=DICE.label, title="Validation with the streaming pipeline")
    twin = right.twinx()
    twin.plot(done, [float(row["improvement_percent"]) for row in validation], "s--", color="tab:orange")
    twin.set_ylabel("mean improvement over the start [%]", color="tab:orange")
    with atomic_path(target) as temporary:
        figure.savefig(temporary, dpi=100)
