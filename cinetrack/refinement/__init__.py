"""The second stage of the method: an nnU-Net redraws the tracker's mask from the last frames and their masks."""

from cinetrack.refinement.refined_tracker import RefinedTracker, refined_in_place
from cinetrack.refinement.refiner import Refiner, RefinerSession

__all__ = ["RefinedTracker", "Refiner", "RefinerSession", "refined_in_place"]
