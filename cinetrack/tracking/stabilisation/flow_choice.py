"""Which of several flows to trust: the one along which a target's surroundings look most as they did when outlined.

No settings of dense registration suit every frame. A smooth flow follows noisy anatomy better and loses a small target
that moves by itself; a flexible one keeps it, and gets lost in noise. On any one frame it shows which of them is wrong:
the target's surroundings, warped back, do not look like the reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import cv2
import numpy as np

from cinetrack.tracking.stabilisation.optical_flow import FlowSearch, sampled

# How far beyond an outline its surroundings reach, px.
NEAR_PX = 8
# By how much the correlation of a later flow must be greater: a more flexible flow also fits the noise better.
CORRELATION_MARGIN = 0.03
# Both images are smoothed by so much, px, before they are compared.
SMOOTHING_PX = 1.0


@dataclass(frozen=True, eq=False)
class _Surroundings:
    """What is watched on the reference.

    Attributes:
        near: (H, W) bool, the surroundings of the targets.
        box: rows and columns around what is near, with room for smoothing.
        look: what is near on the reference, smoothed, with mean 0 and deviation 1.
    """

    near: np.ndarray
    box: tuple[slice, slice]
    look: np.ndarray

    @classmethod
    def of(cls, near: np.ndarray, reference: np.ndarray) -> _Surroundings:
        """From what is near, (H, W) bool, and the reference, at least as large."""
        room = int(np.ceil(3 * SMOOTHING_PX))
        spans = [np.flatnonzero(near.any(axis=axis)) for axis in (1, 0)]
        rows, columns = (slice(max(int(span[0]) - room, 0), int(span[-1]) + 1 + room) for span in spans)
        box = (rows, columns)
        height, width = near.shape
        return cls(near, box, _standardised(reference[:height, :width][box], near[box]))

    def likeness(self, latest: np.ndarray, search: FlowSearch, flow: np.ndarray) -> float:
        """Correlation of the latest frame, warped back along a flow, with the reference, -1 to 1."""
        height, width = self.near.shape
        warped = sampled(latest[:height, :width].astype(np.float32), search.on_latest(flow, self.box))
        return float((self.look * _standardised(warped, self.near[self.box])).mean())


class ChosenFlow:
    """The flow from a sequence's latest frame to one reference, chosen anew on every frame."""

    def __init__(self, searches: Sequence[FlowSearch], reference: np.ndarray) -> None:
        """
        Args:
            searches: of the same sequence; the first is taken where nothing speaks for another.
            reference: as the first search prepares it.
        """
        self.flow: np.ndarray | None = None  # as `FlowSearch.search` gives it; None while the latest is the reference
        self.reference = reference
        self._searches = tuple(searches)
        self._found: list[np.ndarray | None] = [None] * len(self._searches)
        self._surroundings: _Surroundings | None = None

    def watch(self, mask: np.ndarray) -> None:
        """From now on the surroundings of this (H, W) bool mask on the reference count as well."""
        if len(self._searches) == 1 or not mask.any():
            return
        side = 2 * NEAR_PX + 1
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        near = cv2.dilate(mask.astype(np.uint8), disc) > 0
        if self._surroundings is not None:
            near = near | self._surroundings.near
        self._surroundings = _Surroundings.of(near, self.reference)

    def step(self, latest: np.ndarray) -> None:
        """Find the flows from the latest frame, prepared, and choose."""
        found = [
            search.search(latest, self.reference, before)
            for search, before in zip(self._searches, self._found, strict=True)
        ]
        self._found = list(found)
        self.flow = found[0]
        if self._surroundings is None:
            return
        best = self._surroundings.likeness(latest, self._searches[0], found[0])
        for flow in found[1:]:
            likeness = self._surroundings.likeness(latest, self._searches[0], flow)
            if likeness > best + CORRELATION_MARGIN:
                self.flow, best = flow, likeness

    def copy(self) -> ChosenFlow:
        """One in the same state that goes on by itself."""
        return copy(self)  # nothing in it is changed in place


def _standardised(image: np.ndarray, near: np.ndarray) -> np.ndarray:
    """The pixels of an image that are near, smoothed, with mean 0 and deviation 1."""
    values = cv2.GaussianBlur(image.astype(np.float32), (0, 0), SMOOTHING_PX)[near]
    return (values - values.mean()) / max(float(values.std()), 1e-6)
