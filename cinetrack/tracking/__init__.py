"""Tracking: `chain.py` is the method on one page; its stages are `stabilisation/`, `evidence/`, `fusion.py` and
`postprocessing/`, and `session.py` runs them on one sequence."""

from cinetrack.tracking.chain import Chain
from cinetrack.tracking.prompts import BoxPrompt, MaskPrompt, PointPrompt, Prompt
from cinetrack.tracking.result import StepResult
from cinetrack.tracking.session import TrackingSession

__all__ = ["BoxPrompt", "Chain", "MaskPrompt", "PointPrompt", "Prompt", "StepResult", "TrackingSession"]
