"""A bundle's method made ready to run: its stages loaded on a device."""

from __future__ import annotations

from pathlib import Path

from cinetrack.bundle.manifest import Method
from cinetrack.tracking.chain import Chain
from cinetrack.tracking.stabilisation import Unstabilised


def load_chain(method: Method, folder: Path, device: str = "cpu") -> Chain:
    """Load the stages of a method.

    Args:
        folder: the bundle's, which the stages' files are relative to.
        device: "cpu", "cuda", "cuda:1" or "auto" (a GPU where there is one).
    Raises:
        BundleError: weights or settings are unusable.
        InputError: no such device here.
    """
    return Chain(
        method.name,
        tuple(source.load(folder, device) for source in method.sources),
        method.stabilisation or Unstabilised(),
        tuple(step.load(folder, device) for step in method.postprocessing),
    )
