"""What `cinetrack refiner prepare` lets its users choose: how a case's masks are made, and which samples they give."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from cinetrack.errors import InputError
from cinetrack.refinement.settings import NnunetSettings
from cinetrack.settings import Settings, setting
from cinetrack.tracking.region import SMALLEST_REGION_PX


@dataclass(frozen=True)
class MaskSettings(Settings):
    """What decides a case's masks beside the tracker."""

    perturb: float = setting(
        0.0,
        low=0,
        high=1,
        help="share of the masks after the first, 0 to 1, that are changed as rare errors of a tracker would, so that "
        "the refiner learns to mend those too",
    )
    seed: int = setting(0, low=0, help="decides folds, changed masks and moved outlines")
    region_px: int | None = setting(
        None,
        low=SMALLEST_REGION_PX,
        unit="px",
        help="side of the square around the target that the refiner sees, for one that will be a source on stabilised "
        "frames (default: whole frames as they are, as in the paper)",
    )
    outline_bias_px: float | None = setting(
        None,
        above=0,
        unit="px",
        help="with --region: move each case's outlines by up to this much, the same way on all frames, so that the "
        "refiner learns to keep the given outline rather than to snap to edges (default: not at all)",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.outline_bias_px is not None and self.region_px is None:
            raise InputError(f"--outline-bias: expected it with --region only, found {self.outline_bias_px:g} without")

    def generator(self, case_id: str, tracker: str = "") -> np.random.Generator:
        """The same numbers for the same case and tracker, in whatever order cases are prepared."""
        return np.random.default_rng([self.seed, zlib.crc32(case_id.encode()), zlib.crc32(tracker.encode())])


@dataclass(frozen=True)
class WindowSettings(Settings):
    """Which frames become samples, and what a sample shows."""

    window: int = setting(
        NnunetSettings.window,
        low=1,
        unit="frames",
        help="frames that the refiner sees, the latest included; the paper has 5",
    )
    every: int = setting(
        1,
        low=1,
        unit="frames",
        help="make a sample of every Nth frame; more than 1 saves disk and time where frames are alike",
    )
