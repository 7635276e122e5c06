"""CineTrack: causal tumour tracking in the cine-MR of MR-linacs."""

__version__ = "0.1.0"
