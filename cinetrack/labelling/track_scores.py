"""The tracker's scores of every object on every frame, as `scores.json` of propagated masks holds them.

    {"objects": 2, "object_score": [[frame 0's object 1, 2], [frame 1's], ...], "predicted_iou": [[...], ...]}

null stands for "the tracker estimates none" and for frames before an object's first prompt.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from cinetrack.errors import InputError
from cinetrack.labelling.propagation import PropagatedFrame


def scores_json(frames: Sequence[tuple[tuple[float, ...], tuple[float, ...]]]) -> str:
    """The json text of every frame's (object scores, predicted IoUs).

    Frames tracked before an object was added know nothing of it: they get null for it.
    """
    count = max(len(scores) for scores, _ in frames)
    document = {
        "objects": count,
        "object_score": [_numbers(scores, count) for scores, _ in frames],
        "predicted_iou": [_numbers(ious, count) for _, ious in frames],
    }
    return json.dumps(document)


def scores_from_json(data: bytes, name: str) -> list[tuple[tuple[float, ...], tuple[float, ...]]]:
    """Every frame's scores, as `scores_json` wrote them. Raises InputError with `name` where it is anything else."""
    try:
        document = json.loads(data)
        pairs = zip(document["object_score"], document["predicted_iou"], strict=True)
        return [(_floats(scores), _floats(ious)) for scores, ious in pairs]
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise InputError(f"{name}: expected scores of every frame, found something else ({error!r:.80})") from None


def scores_of(frame: PropagatedFrame) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """What `scores_json` takes of a frame; a few bytes, where the frame itself is large."""
    return frame.object_scores, frame.predicted_ious


def _numbers(values: tuple[float, ...], count: int) -> list[float | None]:
    known: list[float | None] = [None if math.isnan(value) else round(value, 5) for value in values]
    return known + [None] * (count - len(values))


def _floats(values: list[float | None]) -> tuple[float, ...]:
    return tuple(math.nan if value is None else float(value) for value in values)
