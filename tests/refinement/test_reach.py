"""Reach: a refined mask stays near the tracker's, by distance between pixel centres."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from nnunet_model_folder import drifting_disc

from cinetrack.bundle import open_bundle
from cinetrack.bundle.loading import load_refiner
from cinetrack.cli.main import main
from cinetrack.errors import InputError
from cinetrack.refinement import Refiner
from cinetrack.refinement.reach import within_reach

CPU = torch.device("cpu")
MASKS = arrays(np.bool_, st.shared(st.tuples(st.integers(1, 12), st.integers(1, 12)), key="shape"))


def brute_force(refined: np.ndarray, tracked: np.ndarray, reach_px: float) -> np.ndarray:
    kept = np.zeros_like(refined)
    outline = np.argwhere(tracked)
    for pixel in np.argwhere(refined):
        kept[tuple(pixel)] = any(np.hypot(*(pixel - other)) <= reach_px + 1e-5 for other in outline)
    return kept


@given(refined=MASKS, tracked=MASKS, reach_px=st.sampled_from([0, 1, 1.5, 2, 3.7, 20]))
def test_what_is_kept_is_what_lies_within_the_distance(refined, tracked, reach_px):
    np.testing.assert_array_equal(within_reach(refined, tracked, reach_px), brute_force(refined, tracked, reach_px))


def test_a_session_with_reach_gives_the_refiners_mask_cut_to_it(model_folder):
    frames, tracked = drifting_disc(4, (72, 56))
    tracked[3] = False
    free = Refiner.load(model_folder, tile_step_size=0.5, device=CPU).start(frames[0], tracked[0])
    bound = Refiner.load(model_folder, tile_step_size=0.5, reach_px=3, device=CPU).start(frames[0], tracked[0])
    cut = 0
    for t in range(1, 4):
        anywhere, near = free.step(frames[t], tracked[t]), bound.step(frames[t], tracked[t])
        np.testing.assert_array_equal(near, brute_force(anywhere, tracked[t], 3))
        cut += (anywhere != near).sum()
    assert cut > 0 and not near.any()


def test_a_bundle_keeps_the_reach_it_was_made_with_at_every_pace(model_folder, tmp_path):
    create = ["bundle", "create", "--tracker", "static", "--refiner", str(model_folder), "--preset", "fast=0.5"]
    assert main([*create, "--reach", "8", "-o", str(tmp_path / "near")]) == 0
    assert main([*create, "-o", str(tmp_path / "anywhere")]) == 0
    opened = open_bundle(tmp_path / "near")
    assert load_refiner(opened).reach_px == load_refiner(opened.with_refiner_settings("fast")).reach_px == 8
    assert load_refiner(open_bundle(tmp_path / "anywhere")).reach_px is None
    assert "reach_px" not in (tmp_path / "anywhere/bundle.json").read_text()


@pytest.mark.parametrize("reach", ["-1", "nan", "inf"])
def test_an_unusable_reach_is_refused(model_folder, tmp_path, capsys, reach):
    create = ["bundle", "create", "--tracker", "static", "--refiner", str(model_folder), f"--reach={reach}"]
    assert main([*create, "-o", str(tmp_path / "b")]) == 2
    assert f"refiner.reach_px: expected 0 pixels or more, found {float(reach)}" in capsys.readouterr().err
    with pytest.raises(InputError, match="reach of 0 pixels or more"):
        Refiner.load(model_folder, reach_px=float(reach), device=CPU)
