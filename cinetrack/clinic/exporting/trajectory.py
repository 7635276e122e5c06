"""CSV: where each target is on each frame, in seconds and millimetres.

Positions are the centroid's, from the target's first one: `si_mm` grows towards the head, `ap_mm` towards the back,
`lr_mm` towards the patient's left. They are empty on frames without the target.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cinetrack.clinic.exporting.predicted_case import ExportOptions, PredictedCase
from cinetrack.sequence.atomic_write import atomic_path

HELP = "CSV: each target's trajectory (time_s, si_mm, ap_mm, lr_mm, area_mm2, score)"
COLUMNS = ("frame", "time_s", "target", "si_mm", "ap_mm", "lr_mm", "area_mm2", "score")


def write(case: PredictedCase, folder: Path, options: ExportOptions) -> Path:
    """Write <case>_trajectory.csv."""
    path = folder / f"{case.case_id}_trajectory.csv"
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(_rows(case))
    return path


def _rows(case: PredictedCase) -> Iterator[tuple[str, ...]]:
    assert case.grid.spacing_mm is not None
    pixel_mm2 = case.grid.spacing_mm[0] * case.grid.spacing_mm[1]
    for number, name in enumerate(case.target_names, start=1):
        first: np.ndarray | None = None
        for frame, mask in enumerate(case.target(number)):
            rows, columns = np.nonzero(mask)
            moved = ("", "", "")
            if len(rows):
                place = case.grid.position_mm(float(rows.mean()), float(columns.mean()))
                first = place if first is None else first
                x, y, z = place - first + 0.0  # + 0.0: no "-0.000"
                moved = (f"{z:.3f}", f"{y:.3f}", f"{x:.3f}")
            score = case.scores[frame]
            yield (
                str(frame),
                f"{case.times_s[frame]:.6f}",
                name,
                *moved,
                f"{len(rows) * pixel_mm2:.2f}",
                "" if score is None else f"{score:.5f}",
            )
