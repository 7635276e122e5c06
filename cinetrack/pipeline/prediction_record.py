"""`prediction.json`: what was run on a case, how long it took, and the tracker's scores frame by frame."""

from __future__ import annotations

import json
import math
import re
import resource
import sys
from dataclasses import dataclass
from pathlib import Path

from cinetrack.errors import InputError
from cinetrack.pipeline.model import Model
from cinetrack.pipeline.track_case import TrackedCase
from cinetrack.sequence.atomic_write import write_text_atomically
from cinetrack.sequence.grand_challenge import OUTPUT_FILE
from cinetrack.sequence.json_files import read_json

RECORD_NAME = "prediction.json"


@dataclass(frozen=True)
class Seconds:
    """Where a case's time went. `loading` is the model's and the series'."""

    loading: float
    tracking: float
    refining: float
    writing: float

    @property
    def total(self) -> float:
        """All of it: what the challenge fits its time per frame to."""
        return self.loading + self.tracking + self.refining + self.writing


def write_record(folder: Path, case_id: str, model: Model, tracked: TrackedCase, seconds: Seconds) -> None:
    """Write a case's record, atomically; written last, it marks the case as done."""
    record = {
        "case_id": case_id,
        "bundle": model.bundle.name,
        "bundle_fingerprint": model.bundle.fingerprint,
        "tracker": model.tracker.name,
        "refiner": model.refiner is not None or model.bundle.refiner is not None,
        "device": model.device,
        "precision": model.tracker.precision,
        "frame_count": len(tracked.masks),
        "seconds": {
            "loading": seconds.loading,
            "tracking": seconds.tracking,
            "refining": seconds.refining,
            "writing": seconds.writing,
            "total": seconds.total,
        },
        "peak_memory_mb": peak_memory_mb(),
        "frames": {
            "object_score": _numbers(tracked.object_scores),
            "predicted_iou": _numbers(tracked.predicted_ious),
        },
    }
    write_text_atomically(folder / RECORD_NAME, json.dumps(record, indent=1))


def is_done(folder: Path, model: Model) -> bool:
    """Whether `folder` holds a finished case of this very bundle, masks and record.

    Raises:
        InputError: it holds one of another bundle; results of two models must not mix in one folder.
    """
    path = folder / RECORD_NAME
    if not path.exists():
        return False
    record = read_json(path)
    found = record.get("bundle_fingerprint") if isinstance(record, dict) else None
    if found != model.bundle.fingerprint:
        raise InputError(
            f"{path}: expected a prediction of the bundle {model.bundle.name}, found one of another; "
            "choose another output folder or pass --overwrite"
        )
    return (folder / OUTPUT_FILE).exists()


def peak_memory_mb() -> float:
    """The process's greatest resident size so far, MB of 10^6 bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux; getrusage there starts from the parent's peak
        peak_kib = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        if peak_kib:
            return int(peak_kib[1]) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6  # bytes on macOS, KiB elsewhere


def _numbers(values: list[float]) -> list[float | None]:
    return [None if math.isnan(value) else round(value, 5) for value in values]
