"""What a refiner that works within motion compensation is shown of a case: frames, labels and masks held still."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cinetrack.refiner_training.recorded_tracker import RecordingTracker, tracker_masks
from cinetrack.sequence import TrackingCase
from cinetrack.tracking import Tracker
from cinetrack.tracking.motion_compensation import MotionCompensatedTracker, as_motion_compensated, stilled_clip


@dataclass(frozen=True, eq=False)
class MasksInPlace:
    """A tracked case, moving and held still.

    Attributes:
        masks: (T, H, W) bool, the tracker's on the frames as they are.
        tracking_s: seconds that they took.
        stilled_frames: (T, H, W) float32, warped onto the first.
        stilled_labels: (T, H, W) bool, warped likewise.
        stilled_masks: (T, H, W) bool, the inner tracker's on the stilled frames; the first is the prompt.
    """

    masks: np.ndarray
    tracking_s: float
    stilled_frames: np.ndarray
    stilled_labels: np.ndarray
    stilled_masks: np.ndarray


def masks_in_place(case: TrackingCase, labels: np.ndarray, tracker: Tracker) -> MasksInPlace:
    """Track a case, and keep what lies between the motion compensation and the way back.

    Args:
        labels: (T, H, W) bool.
    Raises:
        InputError: a tracker without motion compensation.
    """
    outer = as_motion_compensated(tracker)
    if outer is tracker:
        recording = RecordingTracker(outer.inner)
        masks, tracking_s = tracker_masks(case, MotionCompensatedTracker(recording, outer.settings, outer.flows))
        stilled_masks = np.stack(recording.masks)
    else:  # registration alone: held still, its outline stays where it was; moving, it goes by its own flow
        masks, tracking_s = tracker_masks(case, tracker)
        stilled_masks = np.repeat(case.first_mask[None], len(masks), axis=0)
    frames, still_labels = stilled_clip(case.sequence.frames, labels[:, None], outer.flows, case.first_mask)
    return MasksInPlace(masks, tracking_s, frames, still_labels[:, 0], stilled_masks)
