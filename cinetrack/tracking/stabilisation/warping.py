"""Frames and masks warped onto a reference frame."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from cinetrack.sequence.intensity import NumberRange
from cinetrack.tracking.stabilisation.optical_flow import sampled
from cinetrack.tracking.view import Box


def stabilised_reader(frame: np.ndarray, on_latest: Callable[[Box], np.ndarray]) -> Callable[[Box], np.ndarray]:
    """A function that gives any part of a frame warped onto the reference.

    Args:
        frame: (H, W), any real type.
        on_latest: where on the frame the reference's pixels of a box lie, as `FlowSearch.on_latest`.
    Returns:
        rows and columns -> (h, w) float32, within the whole frame's own range of intensities, up to a scale.
    """
    values = NumberRange.of(frame).values(frame).astype(np.float32)  # within what float32 can hold
    low, high = values.min(), values.max()

    def read(box: Box) -> np.ndarray:
        return np.clip(sampled(values, on_latest(box), cv2.INTER_CUBIC), low, high)

    return read


def stabilised_frame(frame: np.ndarray, on_latest: np.ndarray) -> np.ndarray:
    """A whole frame warped onto the reference, (H, W) float32; `on_latest` is (H, W, 2), as `FlowSearch.on_latest`."""
    return stabilised_reader(frame, lambda box: on_latest[box])((slice(None), slice(None)))


def stabilised_mask(mask: np.ndarray, on_latest: np.ndarray) -> np.ndarray:
    """An (H, W) bool mask warped onto the reference."""
    return sampled(mask.astype(np.float32), on_latest) > 0.5
