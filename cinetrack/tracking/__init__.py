"""Trackers: one frame in, one mask out. SAM2, dense registration and the static baseline behind one protocol."""

from cinetrack.tracking.protocol import BoxPrompt, MaskPrompt, PointPrompt, Prompt, StepResult, Tracker, TrackingSession

__all__ = [
    "BoxPrompt",
    "MaskPrompt",
    "PointPrompt",
    "Prompt",
    "StepResult",
    "Tracker",
    "TrackingSession",
]
