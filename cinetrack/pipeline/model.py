"""A bundle made ready to run: its tracker and its refiner on one device."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cinetrack.bundle import Bundle
from cinetrack.bundle.loading import load_stages, load_tracker
from cinetrack.bundle.tracker_spec import Sam2Spec
from cinetrack.errors import InputError
from cinetrack.tracking import Tracker

if TYPE_CHECKING:
    from cinetrack.refinement.refiner import Refiner  # imports nnU-Net: only bundles with a refiner need it


@dataclass(frozen=True)
class Model:
    """A loaded bundle.

    Attributes:
        refiner: of the tracker's masks; None where there is none, or where it is part of the tracker (`load_stages`).
        device: torch's name of where the networks run, "cpu" where there are none.
    """

    bundle: Bundle
    tracker: Tracker
    refiner: Refiner | None
    device: str


def load_model(bundle: Bundle, device: str = "auto") -> Model:
    """Load a bundle's tracker and refiner.

    Args:
        device: "auto", "cpu", "cuda" or "cuda:N"; under torchrun or srun "auto" and "cuda" take the process's own GPU.
            Without effect on a bundle that has no network to place.
    Raises:
        BundleError, InputError: weights or settings are unusable; there is no such device.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        raise InputError(f"device: expected auto, cpu, cuda or cuda:N, found {device}")
    if not isinstance(bundle.tracker, Sam2Spec) and bundle.refiner is None:
        return Model(bundle, load_tracker(bundle), None, "cpu")  # no network to place, so torch is not imported
    from cinetrack.tracking.device import choose_device

    chosen = str(choose_device(_local_device(device)))
    return Model(bundle, *load_stages(bundle, chosen), chosen)


def _local_device(device: str) -> str:
    rank = os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID"))
    if device not in ("auto", "cuda") or rank is None:
        return device
    if not rank.isdigit():
        raise InputError(f"environment: expected a number in LOCAL_RANK or SLURM_LOCALID, found {rank}")
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return f"cuda:{int(rank) % count}" if count else device
