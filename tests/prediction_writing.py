"""Prediction folders for tests, as `cinetrack predict` leaves them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from cinetrack.sequence.grand_challenge import write_output
from cinetrack.sequence.image_files import ImageGeometry


def write_prediction(
    root: Path, case_id: str, masks: np.ndarray, seconds: float | None = None, spacing_mm=(1.5, 1.0)
) -> Path:
    """Write (T, H, W) bool masks as the prediction of a case, with its log where `seconds` is given."""
    folder = root / case_id
    write_output(folder, masks, ImageGeometry.in_plane(spacing_mm))
    if seconds is not None:
        scores = [None, *np.linspace(9.0, 4.0, len(masks) - 1)]
        log = {
            "case_id": case_id,
            "bundle": "test-bundle",
            "tracker": "sam2.1-small",
            "refiner": False,
            "frame_count": len(masks),
            "seconds": {"loading": 0.5, "tracking": seconds - 0.5, "refining": 0.0, "writing": 0.0, "total": seconds},
            "frames": {"object_score": scores, "predicted_iou": [None] * len(masks)},
        }
        (folder / "prediction.json").write_text(json.dumps(log))
    return folder


def shifted(masks: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Every frame but the first moved; masks must stay clear of the border."""
    moved = np.roll(masks, (rows, columns), axis=(1, 2))
    moved[0] = masks[0]
    return moved
