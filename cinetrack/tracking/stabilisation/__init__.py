"""The first stage: frames are warped onto the one on which the target was outlined, and what is found there back."""

from cinetrack.tracking.stabilisation.stabiliser import Stabiliser, Unstabilised

__all__ = ["Stabiliser", "Unstabilised"]
