"""The tracker's scores of every object on every frame, as `scores.json` of propagated masks holds them.

    {"objects": 2, "object_score": [[frame 0's object 1, 2], [frame 1's], ...], "predicted_iou": [[...], ...]}

null stands for "the tracker estimates none" and for frames before an object's first prompt.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from cinetrack.labelling.propagation import PropagatedFrame


def scores_json(frames: Sequence[tuple[tuple[float, ...], tuple[float, ...]]]) -> str:
    """The json text of every frame's (object scores, predicted IoUs)."""
    document = {
        "objects": len(frames[0][0]),
        "object_score": [_numbers(scores) for scores, _ in frames],
        "predicted_iou": [_numbers(ious) for _, ious in frames],
    }
    return json.dumps(document)


def scores_of(frame: PropagatedFrame) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """What `scores_json` takes of a frame; a few bytes, where the frame itself is large."""
    return frame.object_scores, frame.predicted_ious


def _numbers(values: tuple[float, ...]) -> list[float | None]:
    return [None if math.isnan(value) else round(value, 5) for value in values]
