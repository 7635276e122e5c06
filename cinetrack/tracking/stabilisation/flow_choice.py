"""Which of several flows to trust: the one along which a target's surroundings look most as they did when outlined.

No settings of dense registration suit every frame. A smooth flow follows noisy anatomy better and loses a small target
that moves by itself; a flexible one keeps it, and gets lost in noise. On any one frame it shows which of them is wrong:
the target's surroundings, warped back, do not look like the reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import cv2
import numpy as np

from cinetrack.tracking.stabilisation.optical_flow import FlowSearch, sampled

# How far beyond an outline its surroundings reach, px.
NEAR_PX = 8
# By how much the correlation of a later flow must be greater: a more flexible flow also fits the noise better.
CORRELATION_MARGIN = 0.03
# Both images are smoothed by so much, px, before they are compared.
SMOOTHING_PX = 1.0


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
        self._near: np.ndarray | None = None
        self._box = (slice(None), slice(None))  # round what is near, with room for smoothing
        self._look: np.ndarray | None = None

    def watch(self, mask: np.ndarray) -> None:
        """From now on the surroundings of this (H, W) bool mask on the reference count as well."""
        if len(self._searches) == 1 or not mask.any():
            return
        side = 2 * NEAR_PX + 1
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        near = cv2.dilate(mask.astype(np.uint8), disc) > 0
        self._near = near if self._near is None else self._near | near
        room = int(np.ceil(3 * SMOOTHING_PX))
        spans = (np.flatnonzero(self._near.any(axis=axis)) for axis in (1, 0))
        self._box = tuple(slice(max(span[0] - room, 0), span[-1] + 1 + room) for span in spans)
        self._look = self._standardised(self.reference[: mask.shape[0], : mask.shape[1]][self._box])

    def step(self, latest: np.ndarray) -> None:
        """Find the flows from the latest frame, prepared, and choose."""
        self._found = [
            search.search(latest, self.reference, before) for search, before in zip(self._searches, self._found)
        ]
        self.flow = self._found[0]
        if self._look is None:
            return
        best = self._likeness(latest, self.flow)
        for found in self._found[1:]:
            likeness = self._likeness(latest, found)
            if likeness > best + CORRELATION_MARGIN:
                self.flow, best = found, likeness

    def copy(self) -> ChosenFlow:
        """One in the same state that goes on by itself."""
        return copy(self)  # nothing in it is changed in place

    def _likeness(self, latest: np.ndarray, flow: np.ndarray) -> float:
        """Correlation of the surroundings, warped back along a flow, with the reference's, -1 to 1."""
        height, width = self._near.shape
        where = self._searches[0].on_latest(flow, self._box)
        warped = sampled(latest[:height, :width].astype(np.float32), where)
        return float((self._look * self._standardised(warped)).mean())

    def _standardised(self, image: np.ndarray) -> np.ndarray:
        """What is near of an image of the box, smoothed, with mean 0 and deviation 1."""
        values = cv2.GaussianBlur(image.astype(np.float32), (0, 0), SMOOTHING_PX)[self._near[self._box]]
        return (values - values.mean()) / max(float(values.std()), 1e-6)
