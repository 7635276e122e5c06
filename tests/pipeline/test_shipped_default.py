"""The shipped default on the shipped example: masks from boxes, its refiner's two paces, its files' sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cinetrack.bundle import open_bundle
from cinetrack.evaluation.dice import dice_coefficients
from cinetrack.pipeline.model import load_model
from cinetrack.pipeline.track_case import track
from cinetrack.refinement import RefinedTracker
from cinetrack.sequence import find_cases
from cinetrack.tracking import BoxPrompt

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = open_bundle(ROOT / "resources/default")
EXAMPLE = find_cases(ROOT / "examples/data")[0]


def test_a_box_gives_a_mask():
    case = EXAMPLE.read_case().case
    rows, columns = np.nonzero(case.first_mask)
    box = BoxPrompt(rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
    found = load_model(BUNDLE, "cpu").tracker.start(case.sequence.frames[0], box).results[0].mask
    assert dice_coefficients(found[None], case.first_mask[None])[0] > 0.8


@pytest.mark.parametrize("settings", ["default", "mirrored"])
def test_every_pace_of_the_refiner_follows_the_target(settings):
    model = load_model(BUNDLE.with_refiner_settings(settings), "cpu")
    assert isinstance(model.tracker.inner, RefinedTracker) and model.refiner is None
    case, labels = EXAMPLE.read_case().case, EXAMPLE.read_labels()
    masks = [frame.mask for frame, _ in zip(track(case, model.tracker, model.refiner), range(8), strict=False)]
    assert dice_coefficients(np.stack(masks), labels[:8]).min() > 0.93


def test_weights_are_small():
    sizes = {name: (BUNDLE.folder / name).stat().st_size / 1e6 for name in ("tracker.pt", *BUNDLE.refiner.files)}
    assert sizes["tracker.pt"] < 25 and sum(sizes.values()) - sizes["tracker.pt"] < 15
