"""A frame as the sources see it: worked out when asked for, kept no longer than the frame."""

from __future__ import annotations

import gc
import weakref

import numpy as np

from cinetrack.tracking.prompts import BoxPrompt
from cinetrack.tracking.region import Region
from cinetrack.tracking.view import View

FRAME = np.arange(120 * 100).reshape(120, 100)
REGION = Region.around(BoxPrompt(40, 30, 60, 50), 64, FRAME.shape)


def test_a_part_is_the_frame_cut_and_one_and_the_same_for_a_region():
    view = View.of(FRAME, 7)
    part = view.part(REGION)
    np.testing.assert_array_equal(part.pixels, FRAME[REGION.rows, REGION.columns])
    assert view.part(REGION) is part
    assert part.index == 7


def test_what_is_derived_is_worked_out_once():
    view, calls = View.of(FRAME, 0), []
    for _ in range(2):
        assert view.derived("sum", lambda pixels: calls.append(1) or int(pixels.sum())) == FRAME.sum()
    assert len(calls) == 1


def test_views_and_what_was_derived_from_them_go_without_the_garbage_collector():
    gc.disable()
    try:
        view = View.of(FRAME, 0)
        part = view.part(REGION)
        kept = weakref.ref(part.derived("features", lambda pixels: pixels.astype(float)))
        del view, part
        assert kept() is None
    finally:
        gc.enable()
