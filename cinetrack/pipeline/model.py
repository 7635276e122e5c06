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
    """A loaded model. `load_model` makes one.

    Attributes:
        bundle: the folder that it was loaded from, with its name and fingerprint.
        chain: the stages of the method, from stabilisation to post-processing.
        device: torch's name of where the networks run, "cpu" where there are none.

    Examples:
        >>> model = load_model("registration")
        >>> model.bundle.name, model.device
        ('registration', 'cpu')
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
        """Begin a sequence, to be tracked frame by frame.

        Args:
            frame: (H, W), the raw intensities of the first frame, of any real number type.
            prompt: the target on it: an (H, W) mask, a `MaskPrompt`, a `BoxPrompt` or a `PointPrompt`; a list of them
                for several targets. Boxes and points need a model with SAM2.
            spacing_mm: (row, column) distance of the pixels in mm. Only an nnU-Net that was trained on files with a
                spacing looks at it.
        Raises:
            InputError: the frame or the prompt is unusable, or the prompt lies outside the frame.

        Examples:
            >>> import numpy as np
            >>> frame = np.random.default_rng(0).normal(size=(64, 48))
            >>> mask = np.zeros((64, 48), dtype=bool)
            >>> mask[20:30, 10:25] = True
            >>> session = load_model("registration").start(frame, mask)
            >>> session.step(np.roll(frame, 2, axis=0)).mask.shape
            (64, 48)
        """
        return self.chain.start(frame, prompt, spacing_mm)

    def track(self, case: TrackingCase) -> Iterator[TrackedFrame]:
        """Track a case frame by frame, without looking ahead.

        Yields:
            For each frame, the given one first: `mask`, (H, W) bool, and the model's scores.

        Examples:
            >>> from cinetrack import read_case
            >>> case = read_case("examples/data/P977_0001")
            >>> masks = [frame.mask for frame in load_model("static").track(case)]
            >>> len(masks), bool((masks[-1] == case.first_mask).all())
            (60, True)
        """
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

    Examples:
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
