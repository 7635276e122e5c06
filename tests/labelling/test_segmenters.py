"""A box, or clicks, into a mask."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from cinetrack.bundle import open_bundle
from cinetrack.errors import InputError
from cinetrack.labelling.segmenters import ClassicalSegmenter, Sam2Segmenter, grabcut, random_walker, segmenter_of
from cinetrack.pipeline.model import load_model
from cinetrack.tracking import BoxPrompt, PointPrompt
from cinetrack.tracking.evidence.sam2.source import Sam2Source

RESOURCES = Path(__file__).resolve().parents[2] / "resources"
BOX = BoxPrompt(18, 14, 38, 34)  # around moving_disc's target, centre (28, 24), radius 9


def dice(a, b) -> float:
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.fixture(params=["grabcut", "random_walker"])
def classical(request) -> ClassicalSegmenter:
    return ClassicalSegmenter(request.param, {"grabcut": grabcut, "random_walker": random_walker}[request.param])


def test_a_box_around_a_bright_target_becomes_its_mask(classical, moving_disc):
    frames, masks = moving_disc
    found = classical.begin(frames[0]).segment(BOX)
    assert dice(found.mask, masks[0]) > 0.93 and math.isnan(found.score)


def test_the_same_box_gives_the_same_mask_every_time(classical, moving_disc):
    frames, _ = moving_disc
    begun = classical.begin(frames[0])
    first = begun.segment(BOX).mask
    begun.segment(BoxPrompt(2, 2, 20, 20))
    np.testing.assert_array_equal(begun.segment(BOX).mask, first)


def test_a_mask_never_leaves_its_box(classical):
    noise = np.random.default_rng(0).normal(size=(60, 50))
    mask = classical.begin(noise).segment(BoxPrompt(10, 12, 30.5, 41)).mask
    rows, columns = np.nonzero(mask)
    assert rows.min() >= 10 and rows.max() < 31 and columns.min() >= 12 and columns.max() < 41


def test_where_the_picture_shows_no_round_target_the_mask_is_the_ellipse_in_the_box(classical):
    halves = np.where(np.arange(50) < 26, 1000.0, 200.0) * np.ones((60, 1))  # an edge through the box is no outline
    mask = classical.begin(halves).segment(BoxPrompt(10, 12, 30, 40)).mask
    rows, columns = np.mgrid[:60, :50] + 0.5
    np.testing.assert_array_equal(mask, ((rows - 20) / 10) ** 2 + ((columns - 26) / 14) ** 2 < 1)


@pytest.mark.parametrize("box", [BoxPrompt(0, 0, 1, 1), BoxPrompt(70, 54, 72, 56), BoxPrompt(0, 0, 72, 56)])
def test_boxes_of_any_size_are_answered(classical, moving_disc, box):
    assert classical.begin(moving_disc[0][0]).segment(box).mask.any()


def test_clicks_add_what_was_missed_and_remove_what_was_too_much(classical, moving_disc):
    frames, masks = moving_disc
    begun = classical.begin(frames[0])
    half = masks[0] & (np.arange(72)[:, None] < 28)
    whole = begun.segment(PointPrompt(((32.5, 24.5),), (True,)), half).mask
    assert whole[32, 24] and dice(whole, masks[0]) > dice(half, masks[0])
    spill = masks[0] | (np.hypot(*(np.mgrid[:72, :56] - np.array([28, 38])[:, None, None])) < 5)
    cut = begun.segment(PointPrompt(((28.5, 39.5),), (False,)), spill).mask
    assert not cut[28, 39] and dice(cut, masks[0]) > dice(spill, masks[0])


def test_clicks_without_an_object_are_refused(classical, moving_disc):
    with pytest.raises(InputError, match="draw a box instead"):
        classical.begin(moving_disc[0][0]).segment(PointPrompt(((5, 5),), (True,)))


def test_a_box_outside_the_frame_is_refused(classical, moving_disc):
    with pytest.raises(InputError, match="within the frame"):
        classical.begin(moving_disc[0][0]).segment(BoxPrompt(0, 0, 500, 10))


def test_sam2_embeds_a_frame_once_for_all_its_boxes(monkeypatch, moving_disc):
    calls = []
    embed = Sam2Source._embed
    monkeypatch.setattr(Sam2Source, "_embed", lambda self, *given: calls.append(1) or embed(self, *given))
    model = load_model(open_bundle(RESOURCES / "training/sam2-mini"), "cpu")
    begun = Sam2Segmenter(model.chain).begin(moving_disc[0][0])
    found = [begun.segment(box) for box in (BOX, BoxPrompt(10, 10, 45, 45), BOX)]
    assert len(calls) == 1
    assert all(0 <= segmentation.score <= 1 for segmentation in found)
    np.testing.assert_array_equal(found[0].mask, found[2].mask)  # boxes do not disturb one another


def test_the_bundle_chooses(moving_disc):
    chosen = segmenter_of(load_model(open_bundle(RESOURCES / "default"), "cpu"))
    assert chosen.name == "grabcut" and not chosen.prompts_tracker
