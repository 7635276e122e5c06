"""A model: a bundle's method, loaded and ready to track. Every command and the Python API load it here."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cinetrack.bundle import Bundle, find_bundle
from cinetrack.bundle.loading import load_chain
from cinetrack.bundle.manifest import Method
from cinetrack.errors import InputError
from cinetrack.pipeline.track_case import TrackedFrame, track
from cinetrack.sequence import TrackingCase
from cinetrack.sequence.cine_sequence import Spacing
from cinetrack.tracking import Chain, Prompt, TrackingSession


@dataclass(frozen=True)
class Model:
    """A loaded bundle.

    Attributes:
        chain: the method, all of it.
        device: torch's name of where the networks run, "cpu" where there are none.
    """

    bundle: Bundle
    chain: Chain
    device: str

    def start(
        self,
        frame: np.ndarray,
        prompt: np.ndarray | Prompt | Sequence[np.ndarray | Prompt],
        spacing_mm: Spacing = (1.0, 1.0),
    ) -> TrackingSession:
        """Begin a sequence, to be tracked frame by frame. As `Chain.start`."""
        return self.chain.start(frame, prompt, spacing_mm)

    def track(self, case: TrackingCase) -> Iterator[TrackedFrame]:
        """Track a case causally: its first frame with the given mask, then one frame after the other."""
        return track(case, self.chain)


def load_model(model: Bundle | Path | str | None = None, device: str = "auto", method: Method | None = None) -> Model:
    """Load a model.

    Args:
        model: a bundle, its folder, the name of a shipped one ("default", "registration", "static"), or None for what
            commands run without --model.
        device: "auto", "cpu", "cuda" or "cuda:N"; under torchrun or srun "auto" and "cuda" take the process's own GPU.
            Without effect on a bundle that has no network to place.
        method: what to run of the bundle; all of it by default.
    Raises:
        BundleError, InputError: there is no such bundle or device; weights or settings are unusable.

    Example:
        >>> import numpy as np
        >>> model = load_model("static")
        >>> mask = np.eye(64, dtype=bool)
        >>> session = model.start(np.zeros((64, 64)), mask)
        >>> bool((session.step(np.zeros((64, 64))).mask == mask).all())
        True
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        raise InputError(f"device: expected auto, cpu, cuda or cuda:N, found {device}")
    bundle = model if isinstance(model, Bundle) else find_bundle(model)
    method = method or bundle.method
    if not any(stage.on_device for stage in method.stages):
        return Model(bundle, load_chain(method, bundle.folder), "cpu")  # torch is not imported
    from cinetrack.tracking.device import choose_device

    chosen = str(choose_device(_local_device(device)))
    return Model(bundle, load_chain(method, bundle.folder, chosen), chosen)


def _local_device(device: str) -> str:
    rank = os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID"))
    if device not in ("auto", "cuda") or rank is None:
        return device
    if not rank.isdigit():
        raise InputError(f"environment: expected a number in LOCAL_RANK or SLURM_LOCALID, found {rank}")
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return f"cuda:{int(rank) % count}" if count else device
