"""The method: stabilise, ask each source for log-odds of the target, add them up, carry back, post-process.

    frame ── stabiliser ──> view ──┬── outline ──┐
                                   ├── SAM2 ─────┼── weighted sum ──> carried back ──> post-processing ──> mask
                                   └── nnU-Net ──┘

The paper's method is this chain with one source and no stabilising: SAM2 on the frames as they are, then nnU-Net
redraws its masks and holes are filled. Dense registration is the stabilised outline, the static baseline the outline
alone. Container, commands, labelling app, training and the Python API all run a `Chain`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cinetrack.sequence.cine_sequence import Spacing
from cinetrack.tracking.evidence.source import Source
from cinetrack.tracking.postprocessing.fill_holes import FillHoles
from cinetrack.tracking.postprocessing.step import PostProcessing
from cinetrack.tracking.prompts import Prompt, as_prompts
from cinetrack.tracking.session import TrackingSession
from cinetrack.tracking.stabilisation.stabiliser import Stabiliser, Unstabilised


@dataclass(frozen=True, eq=False)
class Chain:
    """A loaded method. It holds nothing of a sequence: one chain may run many sessions, in turns or side by side.

    Attributes:
        name: for logs and errors.
        sources: at least one.
        stabiliser: how frames are held still.
        postprocessing: what is done with each mask, in order; each step is given the one before's mask.

    Examples:
        >>> import numpy as np
        >>> from cinetrack.tracking.evidence.outline import OutlineSource
        >>> registration = Chain("registration", (OutlineSource(),), Stabiliser(("flexible",)))
        >>> frame = np.random.default_rng(0).normal(size=(96, 96))
        >>> mask = np.zeros((96, 96), dtype=bool)
        >>> mask[40:60, 40:60] = True
        >>> session = registration.start(frame, mask)
        >>> bool(session.step(frame).mask[50, 50])
        True
    """

    name: str
    sources: tuple[Source, ...]
    stabiliser: Stabiliser | Unstabilised = field(default_factory=Unstabilised)
    postprocessing: tuple[PostProcessing, ...] = (FillHoles(),)

    @property
    def precision(self) -> str:
        """Of the networks' arithmetic, for logs."""
        return next((source.precision for source in self.sources if source.decodes), self.sources[0].precision)

    def start(
        self,
        frame: np.ndarray,
        prompt: np.ndarray | Prompt | Sequence[np.ndarray | Prompt],
        spacing_mm: Spacing = (1.0, 1.0),
    ) -> TrackingSession:
        """Begin a sequence.

        Args:
            frame: (H, W), any real number type.
            prompt: the target's (H, W) mask, or a prompt, or one prompt a target.
            spacing_mm: (row, column); only an nnU-Net that was taught on a format with spacing reads it.
        Raises:
            InputError: an unusable frame or prompt, or boxes and clicks where no source understands them.
        """
        return TrackingSession(self, frame, as_prompts(prompt), spacing_mm)
