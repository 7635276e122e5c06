"""`prediction.json`: what was run on a case, how long it took, and the tracker's scores frame by frame.

One schema for who writes and who reads. `seconds` is {"loading", "stages": {name: seconds}, "writing", "total"}; in
older records the stages `tracking` and `refining` stand beside the others. Other tools may write a part of it.
"""

from __future__ import annotations

import json
import math
import re
import resource
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cinetrack.errors import InputError
from cinetrack.sequence.atomic_write import write_text_atomically
from cinetrack.sequence.json_files import read_json

if TYPE_CHECKING:  # readers of records need no tracker
    from cinetrack.pipeline.model import Model
    from cinetrack.pipeline.track_case import TrackedCase

RECORD_NAME = "prediction.json"
OLD_STAGES = ("tracking", "refining")


@dataclass(frozen=True)
class Seconds:
    """Where a case's time went. `loading` is the model's and the series'; `stages` are the method's, by name."""

    loading: float
    stages: Mapping[str, float]
    writing: float

    @property
    def total(self) -> float:
        """All of it: what the challenge fits its time per frame to."""
        return self.loading + sum(self.stages.values()) + self.writing


@dataclass(frozen=True)
class PredictionRecord:
    """What a record says; None, or nothing, where it does not.

    Attributes:
        case_id: name of the case.
        tracker, bundle: names for people.
        bundle_fingerprint: of the model that made the masks.
        total_seconds: from start to written masks, with loading.
        stage_seconds: of each of the method's stages.
        object_score: tracker's score of each frame, None where it gave none.
        dataset: the folder of the cases that were tracked.
    """

    case_id: str | None = None
    tracker: str | None = None
    bundle: str | None = None
    bundle_fingerprint: str | None = None
    total_seconds: float | None = None
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    object_score: list[float | None] = field(default_factory=list)
    dataset: Path | None = None


def write_record(
    folder: Path,
    case_id: str,
    model: Model,
    tracked: TrackedCase,
    seconds: Seconds,
    dataset: Path | None = None,
) -> None:
    """Write a case's record, atomically; written last, it marks the case as done.

    Args:
        dataset: the folder that the case was found in.
    """
    record = {
        "case_id": case_id,
        "dataset": None if dataset is None else str(dataset.absolute()),
        "bundle": model.bundle.name,
        "bundle_fingerprint": model.bundle.fingerprint,
        "tracker": model.chain.name,
        "method": model.bundle.method.description,
        "device": model.device,
        "precision": model.chain.precision,
        "frame_count": len(tracked.masks),
        "seconds": {
            "loading": seconds.loading,
            "stages": dict(seconds.stages),
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


def read_record(folder: Path) -> PredictionRecord:
    """The record beside a prediction; an empty one where there is no file.

    Raises:
        InputError: the file is not json or its entries are not of the kind expected.
    """
    path = folder / RECORD_NAME
    if not path.exists():
        return PredictionRecord()
    content = read_json(path)
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: expected a json object, found {type(content).__name__}")
    case_id = _text(content, "case_id")
    if case_id is not None and (case_id != Path(case_id).name or case_id in ("", ".", "..")):
        raise InputError(f"{path}: expected case_id to be the name of a folder, found {case_id!r}")
    seconds = _mapping(path, content, "seconds")
    total = seconds.get("total")
    if total is not None and not (_is_number(total) and total > 0):
        raise InputError(f"{path}: expected seconds.total to be a positive number, found {total!r}")
    stages = _mapping(path, seconds, "stages") or {name: seconds[name] for name in OLD_STAGES if name in seconds}
    wrong = next((name for name, value in stages.items() if not _is_number(value)), None)
    if wrong is not None:
        raise InputError(f"{path}: expected the seconds of {wrong} to be a number, found {stages[wrong]!r}")
    scores = _mapping(path, content, "frames").get("object_score") or []
    if not isinstance(scores, list) or not all(score is None or _is_number(score) for score in scores):
        raise InputError(f"{path}: expected frames.object_score to be a list of numbers or null")
    return PredictionRecord(
        case_id,
        _text(content, "tracker"),
        _text(content, "bundle"),
        _text(content, "bundle_fingerprint"),
        total,
        stages,
        scores,
        None if (dataset := _text(content, "dataset")) is None else Path(dataset),
    )


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


def _mapping(path: Path, content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = content.get(key) or {}
    if not isinstance(value, Mapping):
        raise InputError(f"{path}: expected {key} to be a json object, found {type(value).__name__}")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _text(content: Mapping[str, Any], key: str) -> str | None:
    value = content.get(key)
    return value if isinstance(value, str) else None
