"""Cine-MR as the videos of SAM2's training package: from cached cases, and from the phantom.

Follows `training.dataset.vos_raw_dataset.PNGRawDataset`, without files of one frame each. Grey is repeated to RGB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from training.dataset.vos_raw_dataset import VOSRawDataset, VOSVideo

from cinetrack.finetuning.clip_view import ClipView
from cinetrack.finetuning.frame_cache import CachedCase
from cinetrack.finetuning.recipe import PhantomSource
from cinetrack.phantom.clips import PhantomClips
from cinetrack.sequence.intensity import min_max_8bit


class CineFrame:
    """A frame of a video; stands in for `VOSFrame`, but holds the picture only while it is asked for."""

    image_path = None
    is_conditioning_only = False

    def __init__(self, frame_idx: int, frames: np.ndarray) -> None:
        self.frame_idx = frame_idx
        self._frames = frames

    @property
    def data(self) -> torch.Tensor:
        """(3, H, W) float32 in 0..1. Upstream multiplies by 255 and rounds down: half a level keeps all 256."""
        grey = (self._frames[self.frame_idx].astype(np.float32) + 0.5) / 255.0
        return torch.from_numpy(np.minimum(grey, 1.0)).expand(3, -1, -1)


@dataclass(frozen=True, eq=False)
class IndexedSegments:
    """Masks of one video by frame: (T, H, W) uint8 indices of its objects."""

    objects: np.ndarray

    def load(self, frame_idx: int) -> dict[int, torch.Tensor]:
        """(H, W) bool masks by object number, of those that show on the frame."""
        picture = np.asarray(self.objects[frame_idx])
        return {int(number): torch.from_numpy(picture == number) for number in np.unique(picture) if number}


@dataclass(frozen=True, eq=False)
class MaskSegments:
    """Masks of one video by frame, which may overlap: (T, K, H, W) bool."""

    masks: np.ndarray

    def load(self, frame_idx: int) -> dict[int, torch.Tensor]:
        """(H, W) bool masks by object number 1, 2, ..., of those that show on the frame."""
        return {
            number: torch.from_numpy(mask) for number, mask in enumerate(self.masks[frame_idx], start=1) if mask.any()
        }


class CaseVideos(VOSRawDataset):
    """Clips of consecutive accepted frames, from each case `multiplier` times an epoch.

    The clip is drawn here and not by upstream's sampler: that one guesses a start up to a thousand times until an
    object shows on its frame, and where one seldom does it gives up, and with it the training.
    """

    def __init__(
        self, cases: Sequence[CachedCase], clip_frames: int, multiplier: int, view: ClipView | None = None
    ) -> None:
        self._cases = list(cases)
        self._clip_frames = clip_frames
        self._multiplier = multiplier
        self._view = view

    def __len__(self) -> int:
        return len(self._cases) * self._multiplier

    def get_video(self, idx: int, rng: np.random.Generator) -> tuple[VOSVideo, IndexedSegments | MaskSegments]:
        """A clip of a case, drawn with `rng` from those that begin with an object, and its segments."""
        number = idx % len(self._cases)
        case = self._cases[number]
        frames, objects = case.open()
        start = int(rng.choice(case.clip_starts(self._clip_frames)))
        chosen = list(case.accepted_frames[start : start + self._clip_frames])
        if self._view is None:
            return VOSVideo(case.name, number, [CineFrame(index, frames) for index in chosen]), IndexedSegments(objects)
        pictures = objects[chosen]
        masks = np.stack([pictures == number for number in np.unique(pictures) if number], axis=1)
        return _viewed(case.name, number, frames[chosen], masks, self._view, rng)


class PhantomVideos(VOSRawDataset):
    """Clips of the phantom, drawn when asked for."""

    def __init__(self, source: PhantomSource, clip_frames: int, view: ClipView | None = None) -> None:
        self._source = source
        self._clip_frames = clip_frames
        self._view = view or ClipView()
        self._clips = PhantomClips(source.config)

    def __len__(self) -> int:
        return self._source.clips

    def get_video(self, idx: int, rng: np.random.Generator) -> tuple[VOSVideo, MaskSegments]:
        """A clip drawn with `rng`."""
        size_px = int(rng.integers(*self._source.size_px, endpoint=True))
        frames, masks = self._clips.sample(rng, self._clip_frames, size_px)
        return _viewed(f"phantom-{idx}", idx, frames, masks, self._view, rng)


def _viewed(
    name: str, number: int, frames: np.ndarray, masks: np.ndarray, view: ClipView, rng: np.random.Generator
) -> tuple[VOSVideo, MaskSegments]:
    frames, masks = view.of(frames, masks, rng)
    scaled = np.stack([min_max_8bit(frame) for frame in frames])
    return VOSVideo(name, number, [CineFrame(index, scaled) for index in range(len(scaled))]), MaskSegments(masks)
