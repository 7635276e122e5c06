"""COCO: `annotations.json` with run-length masks, and the frames as 8-bit pictures, for annotation tools.

Pictures and masks lie as the case's frames do, with the feet at row 0.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cinetrack.clinic.exporting.predicted_case import ExportOptions, PredictedCase
from cinetrack.sequence.atomic_write import atomic_path, write_text_atomically
from cinetrack.sequence.image_files import read_series
from cinetrack.sequence.intensity import min_max_8bit

HELP = "COCO: annotations.json with run-length masks, and the frames as PNG"


def write(case: PredictedCase, folder: Path, options: ExportOptions) -> Path:
    """Write <case>.coco/annotations.json, and <case>.coco/images/<frame>.png."""
    root = folder / f"{case.case_id}.coco"
    frames, _ = read_series(case.series_path)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index, frame in enumerate(frames):
        name = f"{index:05d}.png"
        with atomic_path(root / "images" / name) as temporary:
            Image.fromarray(min_max_8bit(frame)).save(temporary)
        height, width = frame.shape
        images.append({"id": index + 1, "file_name": name, "height": height, "width": width})
        score = {} if case.scores[index] is None else {"score": case.scores[index]}
        for number in range(1, len(case.target_names) + 1):
            mask = case.labels[index] == number
            if mask.any():
                place = {"id": len(annotations) + 1, "image_id": index + 1, "category_id": number}
                annotations.append(place | _region(mask) | score)
    content = {
        "info": {"description": "targets tracked by CineTrack"},
        "images": images,
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for number, name in enumerate(case.target_names, start=1)],
    }
    path = root / "annotations.json"
    write_text_atomically(path, json.dumps(content))
    return path


def _region(mask: np.ndarray) -> dict[str, Any]:
    rows, columns = np.nonzero(mask)
    box = [columns.min(), rows.min(), columns.max() - columns.min() + 1, rows.max() - rows.min() + 1]
    return {
        "segmentation": {"counts": run_lengths(mask), "size": list(mask.shape)},
        "area": int(mask.sum()),
        "bbox": [int(value) for value in box],  # x, y, width, height
        "iscrowd": 0,
    }


def run_lengths(mask: np.ndarray) -> list[int]:
    """Lengths of the runs of 0 and 1 in turn, of 0 first, column by column: COCO's uncompressed masks."""
    values = np.concatenate([[False], mask.ravel(order="F")])
    changes = np.flatnonzero(values[1:] != values[:-1])
    return [int(length) for length in np.diff(np.concatenate([[0], changes, [mask.size]]))]
