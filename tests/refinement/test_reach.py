"""Reach: a refined mask differs from the tracker's near its outline only, by distance between pixel centres."""

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


def brute_force(mask: np.ndarray, reach_px: float) -> np.ndarray:
    near = np.zeros_like(mask)
    for pixel in np.ndindex(mask.shape):
        across = np.argwhere(mask != mask[pixel])
        near[pixel] = any(np.hypot(*(pixel - other)) <= reach_px + 1e-5 for other in across)
    return near


@given(mask=MASKS, reach_px=st.sampled_from([0, 1, 1.5, 2, 3.7, 20]))
def test_within_reach_is_what_has_the_other_side_of_the_outline_within_the_distance(mask, reach_px):
    np.testing.assert_array_equal(within_reach(mask, reach_px), brute_force(mask, reach_px))


@pytest.mark.parametrize(
    ("model", "spacing_mm"),
    [("model_folder", (1.0, 1.0)), ("mha_model", (1.25, 1.0)), ("mha_model", (2.0, 1.4))],
    ids=["cropped", "and transposed", "and resampled"],
)
def test_a_mask_with_reach_is_the_refiners_own_within_it_and_the_trackers_beyond(request, model, spacing_mm):
    """Bands of black make nnU-Net crop the image; beyond the patch of 64 px are several tiles, not all in reach."""
    frames, tracked = drifting_disc(4, (150, 130))
    frames[:, :9], frames[:, :, :20] = 0, 0
    tracked[3] = False
    masks = []
    for reach_px in (None, 3):
        refiner = Refiner.load(request.getfixturevalue(model), tile_step_size=0.5, reach_px=reach_px, device=CPU)
        session = refiner.start(frames[0], tracked[0], spacing_mm)
        masks.append(np.stack([session.step(*pair) for pair in zip(frames[1:], tracked[1:])]))
    anywhere, near = masks
    reach = np.stack([within_reach(mask, 3) for mask in tracked[1:]])
    np.testing.assert_array_equal(near, np.where(reach, anywhere, tracked[1:]))
    assert (near ^ tracked[1:])[reach].any() and (anywhere ^ tracked[1:])[~reach].any()


def test_tiles_out_of_reach_are_not_computed(model_folder):
    frames, tracked = drifting_disc(2, (400, 120))
    passes = {}
    for reach_px in (None, 3):
        refiner = Refiner.load(model_folder, tile_step_size=0.5, mirroring=False, reach_px=reach_px, device=CPU)
        counted: list[int] = []
        for network in refiner._sliding_window._networks:
            network.register_forward_pre_hook(lambda module, args, counted=counted: counted.append(len(args[0])))
        refiner.start(frames[0], tracked[0]).step(frames[1], tracked[1])
        passes[reach_px] = sum(counted)
    assert passes[None] == 12 * 3 and passes[3] <= 4 * 3


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
