"""The shipped default on the shipped example: masks from boxes, every frame followed, its files' sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cinetrack.bundle import open_bundle
from cinetrack.evaluation.dice import dice_coefficients
from cinetrack.pipeline.model import load_model
from cinetrack.sequence import find_cases
from cinetrack.tracking import BoxPrompt

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = open_bundle(ROOT / "resources/default")
EXAMPLE = find_cases(ROOT / "examples/data")[0]


def test_a_box_gives_a_mask():
    case = EXAMPLE.read_case().case
    rows, columns = np.nonzero(case.first_mask)
    box = BoxPrompt(rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
    found = load_model(BUNDLE, "cpu").start(case.sequence.frames[0], box).results[0].mask
    assert dice_coefficients(found[None], case.first_mask[None])[0] > 0.8


def test_the_target_is_followed():
    model = load_model(BUNDLE, "cpu")
    assert [source.name for source in model.chain.sources] == ["outline", "sam2", "nnunet"]
    case, labels = EXAMPLE.read_case().case, EXAMPLE.read_labels()
    masks = [frame.mask for frame, _ in zip(model.track(case), range(8), strict=False)]
    assert dice_coefficients(np.stack(masks), labels[:8]).min() > 0.93


def test_weights_are_small():
    sizes = {name: (BUNDLE.folder / name).stat().st_size / 1e6 for name in BUNDLE.method.files}
    assert sizes["tracker.pt"] < 25 and sum(sizes.values()) - sizes["tracker.pt"] < 15
