"""Our trainer where nnU-Net looks for it, by the name of this module alone."""

from cinetrack.refiner_training.trainer import nnUNetTrainerCineTrack

__all__ = ["nnUNetTrainerCineTrack"]
