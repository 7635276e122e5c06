"""Perturbed masks: as many as asked for, in episodes, never the prompt."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cinetrack.refiner_training.mask_perturbation import (
    EMPTY_EPISODE_FRAMES,
    KINDS,
    Episode,
    _perturb_episode,
    draw_episodes,
    perturb_masks,
)


def discs(frames: int) -> np.ndarray:
    rows, columns = np.mgrid[:60, :48]
    return np.stack([np.hypot(rows - 28 - 0.3 * t, columns - 24) < 9 for t in range(frames)])


@given(st.integers(2, 60), st.floats(0, 1), st.integers(0, 100))
def test_episodes_cover_the_share_asked_for_without_overlap_and_spare_the_first_frame(frames, share, seed):
    episodes = draw_episodes(frames, share, np.random.default_rng(seed))
    covered = [frame for episode in episodes for frame in range(episode.first, episode.last)]
    assert len(covered) == len(set(covered)) == round(share * (frames - 1))
    assert all(1 <= frame < frames for frame in covered)
    assert all(e.last - e.first <= EMPTY_EPISODE_FRAMES for e in episodes if e.kind == "empty")


@given(st.floats(0, 1), st.integers(0, 100))
def test_only_frames_of_an_episode_change_and_the_prompt_stays(share, seed):
    masks = discs(20)
    perturbed, episodes = perturb_masks(masks, share, np.random.default_rng(seed))
    within = np.zeros(len(masks), bool)
    for episode in episodes:
        within[episode.first : episode.last] = True
    assert (perturbed[~within] == masks[~within]).all()
    assert perturbed.dtype == bool and (perturbed[0] == masks[0]).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(8))
def test_an_error_is_of_its_kind_and_the_target_is_still_known(kind, seed):
    masks = discs(8)
    perturbed = masks.copy()
    _perturb_episode(perturbed, Episode(kind, 2, 7), np.random.default_rng(seed))
    for before, after in zip(masks[2:7], perturbed[2:7], strict=True):
        overlap = (before & after).sum() / before.sum()
        match kind:
            case "empty":
                assert not after.any()
            case "grow":
                assert (after & before == before).all() and after.sum() > before.sum()
            case "shrink":
                assert (after & ~before).sum() == 0 and 0 < after.sum() < before.sum()
            case "drop":
                assert (after & ~before).sum() == 0 and overlap > 0.4
            case "shift":
                assert after.sum() == before.sum() and (after != before).any() and overlap > 0.1
            case "deform":
                assert overlap > 0.3
    if kind == "deform":
        assert (perturbed[2:7] != masks[2:7]).any()


def test_an_error_swells_and_fades_instead_of_flickering():
    masks = np.repeat(discs(1), 12, axis=0)
    for seed in range(10):
        perturbed = masks.copy()
        _perturb_episode(perturbed, Episode("grow", 1, 12), np.random.default_rng(seed))
        areas = perturbed[1:].sum(axis=(1, 2))
        assert (np.diff(areas[:6]) >= 0).all() and (np.diff(areas[5:]) <= 0).all()


def test_masks_that_the_tracker_lost_stay_lost():
    perturbed, _ = perturb_masks(np.zeros((9, 20, 20), bool), 1.0, np.random.default_rng(0))
    assert not perturbed.any()
