"""CineTrack: causal tumour tracking in the cine-MR of MR-linacs."""

from cinetrack.bundle.loading import load_tracker

__version__ = "0.1.0"

__all__ = ["load_tracker"]
