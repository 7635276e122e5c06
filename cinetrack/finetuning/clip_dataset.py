"""SAM2's training dataset with a seed for every clip, so that a resumed run sees what an unbroken one would.

Upstream draws clips and augmentations from the global generators, whose state depends on the worker and on how long it
has lived. Here each clip of each epoch has its own seed, whatever the number of workers.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import ListConfig
from training.dataset.vos_dataset import VOSDataset

from cinetrack.finetuning.clip_view import ClipView
from cinetrack.finetuning.frame_cache import cached
from cinetrack.finetuning.recipe import PhantomSource
from cinetrack.finetuning.training_case import training_cases
from cinetrack.finetuning.videos import CaseVideos, PhantomVideos
from cinetrack.phantom.clips import ClipConfig


class SeededClips(VOSDataset):
    """`VOSDataset` whose item depends on seed, epoch and index alone."""

    def __init__(self, video_dataset: CaseVideos | PhantomVideos, sampler: Any, transforms: Any, seed: int) -> None:
        super().__init__(transforms, training=True, video_dataset=video_dataset, sampler=sampler, multiplier=1)
        self._seed = seed

    def set_epoch(self, epoch: int) -> None:
        """Called by the loader at the start of every epoch."""
        self.curr_epoch = epoch

    def __getitem__(self, idx: int | torch.Tensor) -> Any:
        index = int(idx)
        rng = np.random.default_rng((self._seed, self.curr_epoch, index))
        with _global_generators_seeded_with(int(rng.integers(2**31))):
            video, segments = self.video_dataset.get_video(index, rng)
            sampled = self.sampler.sample(video, segments, epoch=self.curr_epoch)
            datapoint = self.construct(video, sampled, segments)
            for transform in self._transforms:
                datapoint = transform(datapoint, epoch=self.curr_epoch)
        return datapoint


def case_clips(
    folders: list[str],
    pseudo_labels: list[str],
    patients: list[str],
    cache: str,
    multiplier: int,
    sampler: Any,
    transforms: Any,
    seed: int,
    view: dict[str, Any] | None = None,
) -> SeededClips:
    """Clips of cases on disk; what a run's configuration names. `view`: the fields of a `ClipView`."""
    cases = training_cases([Path(f) for f in folders], [Path(f) for f in pseudo_labels])
    wanted = [
        case
        for case in (cached(case, Path(cache)) for case in cases if case.case.patient_id in set(patients))
        if case.clip_starts(sampler.num_frames)
    ]
    return SeededClips(CaseVideos(wanted, sampler.num_frames, multiplier, _clip_view(view)), sampler, transforms, seed)


def phantom_clips(
    clips: int,
    size_px: tuple[int, int],
    config: dict[str, Any],
    sampler: Any,
    transforms: Any,
    seed: int,
    view: dict[str, Any] | None = None,
) -> SeededClips:
    """Clips of the phantom; what a run's configuration names. `view`: the fields of a `ClipView`."""
    source = PhantomSource(clips, (size_px[0], size_px[1]), ClipConfig(**_with_tuples(config)))
    return SeededClips(PhantomVideos(source, sampler.num_frames, _clip_view(view)), sampler, transforms, seed)


def _clip_view(settings: dict[str, Any] | None) -> ClipView | None:
    return None if settings is None else ClipView(**_with_tuples(settings))


def _with_tuples(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, (list, ListConfig)) else value for key, value in settings.items()}


@contextmanager
def _global_generators_seeded_with(seed: int) -> Iterator[None]:
    """Upstream's sampler and transforms know no generator; leave the global ones as they were found."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    # The CPU's alone: `torch.manual_seed` would also set the GPU's, which dropout draws from where there is no worker.
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
