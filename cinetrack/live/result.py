"""What a live session says of every frame it was given.

No medical device: research and simulation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from cinetrack.live.frame import LiveFrame
from cinetrack.live.planes import JoinedPosition
from cinetrack.motion_prediction import Prediction

TRACKED, SKIPPED, REJECTED = "tracked", "skipped", "rejected"


@dataclass(frozen=True, eq=False)
class LiveResult:
    """The decision on one frame.

    Attributes:
        status: "tracked"; "skipped" where a newer frame was there before this one's turn; "rejected" where the frame
            is unusable, and `reason` says why.
        mask: (H, W) bool where tracked, else None.
        object_score: the model's logit of "the target is there"; NaN where it estimates none.
        moved_mm: (2,) the centroid's displacement from the first outline along rows (SI, towards the head) and columns
            (AP in a sagittal, LR in a coronal plane); NaN where the target is lost.
        lost: tracked, but nothing was outlined or the model says the target is not there.
        prediction: of `moved_mm`, as far ahead as the session looks; None where it does not.
        beam_on: whether the gate lets the beam on; None without a gate.
        joined: the target's 3D position where planes alternate, else None.
        decided_s: when this was known, by the clock of `frame.now_s`.
        step_s: seconds that the model took.
    """

    frame: LiveFrame
    status: str
    decided_s: float
    reason: str = ""
    mask: np.ndarray | None = None
    object_score: float = math.nan
    moved_mm: np.ndarray | None = None
    lost: bool = False
    prediction: Prediction | None = None
    beam_on: bool | None = None
    joined: JoinedPosition | None = None
    step_s: float = 0.0

    @property
    def latency_s(self) -> float:
        """From acquisition to decision."""
        return self.decided_s - self.frame.acquired_s

    def as_json(self) -> dict[str, Any]:
        """The result without its mask, as plain data; what is not known is None or left out."""
        line: dict[str, Any] = {
            "number": self.frame.number,
            "plane": self.frame.plane,
            "status": self.status,
            "acquired_s": round(self.frame.acquired_s, 6),
            "received_s": round(self.frame.received_s, 6),
            "decided_s": round(self.decided_s, 6),
        }
        if self.status == REJECTED:
            line["reason"] = self.reason
        if self.status == TRACKED:
            line |= {
                "step_ms": round(self.step_s * 1e3, 3),
                "lost": self.lost,
                "moved_mm": numbers(self.moved_mm),
                "area_px": 0 if self.mask is None else int(np.count_nonzero(self.mask)),
                "object_score": None if math.isnan(self.object_score) else round(self.object_score, 5),
            }
            if self.prediction is not None:
                line["predicted_mm"] = numbers(self.prediction.position_mm)
                line["predicted_deviation_mm"] = numbers(self.prediction.deviation_mm)
        if self.joined is not None:
            line |= {"joined_mm": numbers(self.joined.position_mm), "joined_age_s": numbers(self.joined.age_s)}
        if self.beam_on is not None:
            line["beam_on"] = self.beam_on
        return line


def numbers(values: np.ndarray | None) -> list[float | None] | None:
    """Plain numbers of an array; None for NaN."""
    if values is None:
        return None
    return [None if math.isnan(value) else round(float(value), 4) for value in values]
