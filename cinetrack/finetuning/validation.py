"""Validation with the real streaming pipeline: the challenge's metrics on held-out cases, against the start.

The checkpoint with the greatest improvement over the start is the best, by the rule of
`cinetrack.evaluation.improvement`; of equal ones the earlier.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from cinetrack.errors import InputError
from cinetrack.evaluation.case_metrics import case_metrics
from cinetrack.evaluation.improvement import improvement_percent, mean_accuracy
from cinetrack.evaluation.metric_names import ACCURACY
from cinetrack.evaluation.truth import read_truth
from cinetrack.finetuning.tables import read_table, write_table
from cinetrack.pipeline.track_case import track_whole
from cinetrack.report.outlines import outlines
from cinetrack.sequence import CaseFiles
from cinetrack.sequence.image_files import image_facts
from cinetrack.sequence.intensity import min_max_8bit
from cinetrack.tracking import Chain
from cinetrack.tracking.device import native_precision
from cinetrack.tracking.evidence.sam2.architecture import build_network
from cinetrack.tracking.evidence.sam2.source import Sam2Source
from cinetrack.tracking.stabilisation import Stabiliser, Unstabilised

VALIDATION_CSV = "validation.csv"
COLUMNS = ("epoch", "improvement_percent", *(metric.key for metric in ACCURACY))
OVERLAYS = 4  # pictures a validation


@dataclass(frozen=True, eq=False)
class ValidationOutcome:
    """What a validation found.

    Attributes:
        epochs_done: 0 for the starting checkpoint.
        means: of each accuracy metric over the cases, by key.
        improvement_percent: over the starting checkpoint; 0 for itself.
        is_best: no validation before had as great an improvement.
        overlays: (H, W, 3) uint8 by case: a frame with true and predicted outline.
    """

    epochs_done: int
    means: Mapping[str, float]
    improvement_percent: float
    is_best: bool
    overlays: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def line(self) -> str:
        """For people."""
        metrics = ", ".join(f"{metric.label} {self.means[metric.key]:.{metric.decimals}f}" for metric in ACCURACY)
        best = " (best)" if self.is_best else ""
        return f"after epoch {self.epochs_done}: {metrics}; {self.improvement_percent:+.2f} % over the start{best}"


class Validation:
    """Tracks held-out cases with a network's current weights.

    Args:
        cases: with labels of every frame.
        config, config_folder: the architecture as a bundle names it.
        run: its validation.csv holds what earlier epochs reached.
        region_px: side of the target's surroundings to track in; None for whole frames.
        stabilise: whether to track on stabilised frames.
    """

    def __init__(
        self,
        cases: Sequence[CaseFiles],
        config: str,
        config_folder: Path,
        run: Path,
        device: str,
        region_px: int | None = None,
        stabilise: bool = False,
    ) -> None:
        self._cases = list(cases)
        self._config, self._config_folder = config, config_folder
        self._run = run
        self._device = device
        self._region_px = region_px
        self._stabilise = stabilise

    def run(
        self, weights: Mapping[str, torch.Tensor], epochs_done: int, rank: int = 0, world_size: int = 1
    ) -> ValidationOutcome | None:
        """Track and score; each rank does its share of the cases. Only rank 0 gets an outcome and writes the table."""
        scores, overlays = self._track_share(weights, rank, world_size)
        if world_size > 1:
            gathered: list[dict[str, dict[str, float]]] = [{} for _ in range(world_size)]
            torch.distributed.all_gather_object(gathered, scores)
            scores = {case: of_case for share in gathered for case, of_case in share.items()}
        if rank != 0:
            return None
        # In the order of the cases, not of the ranks: the sum's last digits depend on it.
        means = mean_accuracy(scores[case_id] for case_id in sorted(scores))
        path = self._run / VALIDATION_CSV
        earlier = [row for row in read_table(path) if int(row["epoch"]) < epochs_done]
        start = {metric.key: float(earlier[0][metric.key]) for metric in ACCURACY} if earlier else means
        improvement = improvement_percent(start, means)
        is_best = all(float(row["improvement_percent"]) < improvement for row in earlier)
        rows = [[row[column] for column in COLUMNS] for row in earlier]
        # Every digit: later improvements are reckoned from these, and compared with them.
        rows.append([str(epochs_done), *(repr(value) for value in (improvement, *means.values()))])
        write_table(path, COLUMNS, rows)
        return ValidationOutcome(epochs_done, means, improvement, is_best, overlays)

    def _track_share(
        self, weights: Mapping[str, torch.Tensor], rank: int, world_size: int
    ) -> tuple[dict[str, dict[str, float]], dict[str, np.ndarray]]:
        number = os.environ.get("LOCAL_RANK", "0")
        device = torch.device(f"cuda:{int(number)}" if self._device == "cuda" else self._device)
        network = build_network(self._config, self._config_folder)
        network.load_state_dict(weights)
        sam2 = Sam2Source(network, device, native_precision(device), self._region_px)
        chain = Chain("sam2", (sam2,), Stabiliser() if self._stabilise else Unstabilised())
        scores: dict[str, dict[str, float]] = {}
        overlays: dict[str, np.ndarray] = {}
        for files in self._cases[rank::world_size]:
            case, truth = files.read_case().case, read_truth(files)
            masks = track_whole(case, chain).masks
            scores[files.case_id] = case_metrics(
                masks, truth.masks, truth.region, truth.spacing_mm, truth.number_type
            ).scores
            if len(overlays) < OVERLAYS:
                middle = len(masks) // 2
                overlays[files.case_id] = overlay(case.sequence.frames[middle], truth.masks[middle], masks[middle])
        return scores, overlays


def check_case(files: CaseFiles) -> None:
    """Raise InputError, naming the file, where a case cannot be tracked or scored."""
    frames = files.read_case().case.sequence.frames
    shape, _ = image_facts(files.labels_file(), "a mask")
    if shape != frames.shape:  # from the header: what does not belong here is not inflated
        raise InputError(
            f"{files.labels_path}: expected masks of the {frames.shape} frames of {files.series_path.name}, "
            f"found {shape}"
        )
    truth = read_truth(files)
    shown = int(truth.masks.any(axis=(1, 2)).sum())
    if shown < 2:
        raise InputError(
            f"{files.labels_path}: expected a true mask on two frames or more, the prompted one and one to score, "
            f"found {shown}"
        )


def overlay(frame: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: the frame with the true outline in green and the predicted one in orange, head up."""
    from PIL import Image, ImageDraw

    picture = Image.fromarray(min_max_8bit(frame)).convert("RGB")
    draw = ImageDraw.Draw(picture)
    for mask, colour in ((truth, (0, 200, 0)), (predicted, (255, 150, 0))):
        for line in outlines(mask):
            points = [(column / 2 - 0.5, row / 2 - 0.5) for row, column in line]
            draw.line([*points, points[0]], fill=colour)
    return np.asarray(picture)[::-1].copy()
