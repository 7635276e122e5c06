"""Biased outlines: off the edges by a bounded distance, in one way for labels and masks of all frames."""

from __future__ import annotations

import json

import cv2
import numpy as np
from disc_dataset import FRAMES, PATIENTS, RESOURCES
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from cinetrack.cli.main import main
from cinetrack.refiner_training.outline_bias import biased, outline_bias

ROWS, COLUMNS = np.mgrid[:70, :80]
DISC = np.hypot(ROWS - 33, COLUMNS - 41) < 14


@given(st.floats(0.1, 4), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_an_outline_moves_by_no_more_than_it_may(greatest_px, seed):
    moved = biased(DISC[None], outline_bias(DISC, greatest_px, np.random.default_rng(seed)))[0]
    # Each component of the uneven part may be as great as the bound, and a pixel is lost to sampling.
    far = (np.sqrt(2) + 0.5) * greatest_px + 1
    outside, inside = ndimage.distance_transform_edt(~DISC), ndimage.distance_transform_edt(DISC)
    assert outside[moved].max() <= far and inside[~moved].max() <= far


def test_the_moved_outlines_of_cases_differ_in_size_and_shape():
    areas = [
        biased(DISC[None], outline_bias(DISC, 3, np.random.default_rng(seed))).sum() / DISC.sum() for seed in range(40)
    ]
    assert min(areas) < 0.9 and max(areas) > 1.1


def pngs(folder) -> np.ndarray:
    return np.stack([cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted(folder.iterdir())])


def test_prepare_biases_labels_and_masks_alike_and_nothing_else(discs, tmp_path):
    command = ["refiner", "prepare", "--data", str(discs), "--tracker", str(RESOURCES / "registration")]
    for name, options in (("plain", []), ("biased", ["--outline-bias", "3"]), ("again", ["--outline-bias", "3"])):
        assert main([*command, "--region", "64", *options, "-o", str(tmp_path / name)]) == 0
    raws = {name: tmp_path / name / "Dataset501_Refiner" for name in ("plain", "biased", "again")}
    changed = 0
    for patient in PATIENTS:
        masks, labels, frames = (
            {name: pngs(raw / kind / patient) for name, raw in raws.items()}
            for kind in ("masks/registration", "labels", "frames")
        )
        np.testing.assert_array_equal(frames["plain"], frames["biased"])
        for kind in (masks, labels):
            np.testing.assert_array_equal(kind["biased"], kind["again"])
            assert kind["biased"].shape == (FRAMES, 64, 56)
        np.testing.assert_array_equal(masks["biased"][0], labels["biased"][0])
        assert (masks["biased"] == masks["biased"][0]).all()  # registration's outline, held still
        changed += (masks["biased"] != masks["plain"]).any()
        record = json.loads((raws["biased"] / f"tracked/registration/{patient}.json").read_text())
        assert record["outline_bias_px"] == 3
    assert changed >= 4  # a bias may be hardly any


def test_plain_and_biased_masks_do_not_mix(discs, tmp_path, capsys):
    command = ["refiner", "prepare", "--data", str(discs), "--tracker", str(RESOURCES / "registration")]
    command += ["-o", str(tmp_path), "--region", "64"]
    assert main(command) == 0
    assert main([*command, "--outline-bias", "2"]) == 2
    assert "expected masks made with outline_bias_px 2.0, found None" in capsys.readouterr().err


def test_a_bias_without_a_region_is_refused(discs, tmp_path, capsys):
    command = ["refiner", "prepare", "--data", str(discs), "--tracker", str(RESOURCES / "registration")]
    assert main([*command, "-o", str(tmp_path), "--outline-bias", "2"]) == 2
    assert "--outline-bias: expected it with --region only, found 2 without" in capsys.readouterr().err
