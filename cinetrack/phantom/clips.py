"""Short clips made on the fly for training a tracker: frames and the masks of several structures.

In a few frames of natural breathing the target hardly moves, and a tracker that copies the previous mask scores well
and learns nothing else. So a clip's frames are spread over time and its motion is scaled to a displacement drawn from
the configuration.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cinetrack.errors import InputError
from cinetrack.phantom.case import ATTEMPTS, FEWEST_FIRST_PX, prepare_case, render_case
from cinetrack.phantom.draws import PhantomRequest, draw_parameters


@dataclass(frozen=True)
class ClipConfig:
    """What clips to draw.

    Attributes:
        displacement_px: range of the first structure's largest displacement within a clip.
        still_share: share of clips that move less than that, by 0 px up to the range's start.
        frame_rate_hz: range of the frames' rate; lower ones spread a clip's frames over more of the breathing cycle.
        structures: masks a clip at most.
        randomised_share: share of clips that leave anatomy behind.
        visible_on_all_frames: redraw clips whose first structure disappears.
        field_strength_t, region, difficulty: fixed, or drawn where None.
    """

    displacement_px: tuple[float, float] = (6.0, 32.0)
    still_share: float = 0.15
    frame_rate_hz: tuple[float, float] = (1.0, 8.0)
    structures: int = 3
    randomised_share: float = 0.3
    visible_on_all_frames: bool = False
    field_strength_t: float | None = None
    region: str | None = None
    difficulty: str | None = None

    def __post_init__(self) -> None:
        low, high = self.displacement_px
        if not 0 <= low <= high <= 40:
            raise InputError(f"clip displacement: expected a range within 0 to 40 px, found {self.displacement_px}")
        slow, fast = self.frame_rate_hz
        if not 1 <= slow <= fast <= 8:
            raise InputError(f"clip frame rate: expected a range within 1 to 8 Hz, found {self.frame_rate_hz}")
        if not 0 <= self.still_share <= 1 or self.structures < 1:
            raise InputError(
                f"clips: expected a share and one structure or more, found {self.still_share}, {self.structures}"
            )
        PhantomRequest(  # which checks the rest
            field_strength_t=self.field_strength_t,
            region=self.region,
            difficulty=self.difficulty,
            randomised_share=self.randomised_share,
        )


@dataclass(frozen=True)
class PhantomClips:
    """Draws clips; holds no state, so equal generators give equal clips."""

    config: ClipConfig = ClipConfig()

    def sample(
        self, rng: np.random.Generator, frames: int = 8, size: int | tuple[int, int] = 256
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw one clip.

        Args:
            frames: T, 1 or more.
            size: side, or (H, W), 125 to 400 px of 1 mm.
        Returns:
            frames: (T, H, W) uint16, scanner units that differ from clip to clip.
            masks: (T, K, H, W) bool, 1 <= K <= config.structures; structure 0 is a target that shows on frame 0. A
                further structure may be absent from any frame, and may contain another (an organ and its lesion).
        Raises:
            InputError: a size the phantom does not draw.
        """
        config = self.config
        shape = (size, size) if isinstance(size, int) else (size[0], size[1])
        if frames < 1:
            raise InputError(f"clip: expected 1 frame or more, found {frames}")
        for _ in range(ATTEMPTS):
            low, high = config.displacement_px
            still = rng.random() < config.still_share
            request = PhantomRequest(
                frames=frames,
                field_strength_t=config.field_strength_t,
                region=config.region,
                difficulty=config.difficulty,
                shape=shape,
                frame_rate_hz=float(np.exp(rng.uniform(*np.log(config.frame_rate_hz)))),
                peak_displacement_mm=float(rng.uniform(0, low) if still else rng.uniform(low, high)),
                randomised_share=config.randomised_share,
            )
            prepared = prepare_case(rng, draw_parameters(rng, request), config.structures)
            if prepared is None:
                continue
            clip = render_case(rng, prepared)
            shown = clip.masks[:, 0].any(axis=(1, 2))
            if clip.masks[0, 0].sum() >= FEWEST_FIRST_PX and (shown.all() or not config.visible_on_all_frames):
                return clip.frames, clip.masks
        raise RuntimeError(f"no clip with a visible target in {ATTEMPTS} attempts for {config}")
