"""The whole stack: stabilised frames, sources beside each other, nnU-Net that redraws, holes filled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from stub_sources import StubSource, saying

from cinetrack import load_model
from cinetrack.evaluation.dice import dice_coefficients
from cinetrack.tracking import Chain, MaskPrompt, stage_clock
from cinetrack.tracking.evidence.outline import OutlineSource
from cinetrack.tracking.postprocessing.fill_holes import FillHoles, fill_holes
from cinetrack.tracking.postprocessing.nnunet_redraw import NnunetRedraw
from cinetrack.tracking.stabilisation import Stabiliser
from cinetrack.tracking.stabilisation.optical_flow import FlowSearch

RESOURCES = Path(__file__).resolve().parents[2] / "resources"
SPACING_MM = (1.5, 1.0)


@pytest.fixture(scope="module")
def paper(paper_bundle) -> Chain:
    """SAM2 on frames as they are, then nnU-Net redraws its masks and holes are filled."""
    return load_model(paper_bundle, "cpu").chain


@pytest.fixture(scope="module")
def everything(paper) -> Chain:
    """Every stage at once: the shipped default's, and the paper's nnU-Net after it."""
    shipped = load_model("default", "cpu").chain
    return Chain("everything", shipped.sources, shipped.stabiliser, paper.postprocessing)


@pytest.fixture(params=["paper", "everything"])
def chain(request) -> Chain:
    return request.getfixturevalue(request.param)


def rolled(mask: np.ndarray) -> np.ndarray:
    return np.roll(mask, (-22, 14), axis=(0, 1))


def test_the_redraw_is_shown_the_sources_masks_and_not_its_own(paper, drifting_series):
    frames, masks = drifting_series
    redraw, fill = paper.postprocessing
    assert isinstance(redraw, NnunetRedraw) and isinstance(fill, FillHoles)
    session = paper.start(frames[0], masks[0], SPACING_MM)
    unfinished = Chain("sam2", paper.sources, postprocessing=()).start(frames[0], masks[0])
    by_hand = redraw._refiner.start(frames[0], masks[0], SPACING_MM)
    differs = 0
    for frame in frames[1:7]:
        result, raw = session.step(frame), unfinished.step(frame)
        np.testing.assert_array_equal(result.logits, raw.logits)  # those before post-processing
        np.testing.assert_array_equal(result.mask, fill_holes(by_hand.step(frame, raw.mask)))
        differs += int((result.mask != raw.mask).sum())
    assert differs > 0


def test_a_corrected_target_goes_on_as_one_outlined_there(everything, drifting_series):
    """What has the last word begins anew with a correction: its earlier frames showed the wrong outline."""
    frames, masks = drifting_series
    session = everything.start(frames[0], rolled(masks[0]), SPACING_MM)
    for frame in frames[1:4]:
        session.step(frame)
    np.testing.assert_array_equal(session.correct(MaskPrompt(masks[3])).mask, masks[3])
    assert dice_coefficients(session.step(frames[4]).mask[None], masks[4:5])[0] > 0.7
    redraw = session._tracked[0].steps[0]
    first_shown = redraw._window.channels()[1]
    np.testing.assert_array_equal(first_shown, masks[3])


def test_a_target_added_later_is_tracked_as_one_alone(chain, drifting_series):
    frames, masks = drifting_series
    session = chain.start(frames[0], rolled(masks[0]), SPACING_MM)
    session.step(frames[1])
    np.testing.assert_array_equal(session.add_target(MaskPrompt(masks[1])).mask, masks[1])
    alone = chain.start(frames[1], masks[1], SPACING_MM)
    for frame in frames[2:5]:
        session.step(frame)
        assert (session.results[1].mask ^ alone.step(frame).mask).sum() <= 2  # frame 0 gives the intensity window


def test_targets_side_by_side_are_redrawn_as_each_would_be_alone(paper, drifting_series):
    frames, masks = drifting_series
    both = paper.start(frames[0], [masks[0], rolled(masks[0])], SPACING_MM)
    alone = [paper.start(frames[0], mask, SPACING_MM) for mask in (masks[0], rolled(masks[0]))]
    for frame in frames[1:4]:
        both.step(frame)
        for found, session in zip(both.results, alone, strict=True):
            np.testing.assert_array_equal(found.mask, session.step(frame).mask)


def test_a_copy_goes_on_as_the_original_would_have(chain, drifting_series):
    frames, masks = drifting_series
    session = chain.start(frames[0], [masks[0], rolled(masks[0])], SPACING_MM)
    for frame in frames[1:3]:
        session.step(frame)
    session.correct(MaskPrompt(masks[2]))
    twin = session.copy()
    expected = [[result.mask for result in session.results] for frame in frames[3:6] if session.step(frame)]
    session.correct(MaskPrompt(rolled(masks[5])))
    session.add_target(MaskPrompt(masks[5]))
    for frame, wanted in zip(frames[3:6], expected, strict=True):
        twin.step(frame)
        assert len(twin.results) == 2
        for result, mask in zip(twin.results, wanted, strict=True):
            np.testing.assert_array_equal(result.mask, mask)


def test_a_given_mask_stays_as_it_is_and_the_next_ones_holes_are_filled(drifting_series):
    frames, masks = drifting_series
    holed = masks[0].copy()
    row, column = (int(at.mean()) for at in np.nonzero(holed))
    holed[row, column] = False
    session = Chain("static", (OutlineSource(),)).start(frames[0], holed)
    np.testing.assert_array_equal(session.results[0].mask, holed)
    result = session.step(frames[1])
    np.testing.assert_array_equal(result.mask, masks[0])
    assert result.logits[row, column] < 0


def test_post_processing_runs_in_order_each_step_on_the_one_befores_mask(drifting_series):
    class Marks:
        """Sets one pixel, and keeps what it was given."""

        def __init__(self, name: str, column: int) -> None:
            self.name, self._column, self.given = name, column, []

        def start(self, frame, mask, spacing_mm):
            self.given.append((mask.copy(), spacing_mm))
            return self

        def step(self, frame, mask):
            self.given.append(mask.copy())
            marked = mask.copy()
            marked[0, self._column] = True
            return marked

    frames, masks = drifting_series
    first, second = Marks("first", 3), Marks("second", 5)
    session = Chain("static", (OutlineSource(),), postprocessing=(first, second)).start(frames[0], masks[0], (2.0, 3.0))
    session.step(frames[1])
    result = session.step(frames[2])
    np.testing.assert_array_equal(np.flatnonzero(result.mask[0]), [3, 5])
    assert first.given[0][1] == (2.0, 3.0) and not first.given[-1][0].any()  # its own marks do not come back
    np.testing.assert_array_equal(np.flatnonzero(second.given[-1][0]), [3])


def test_every_stage_counts_its_own_seconds_and_nothing_is_left_uncounted(drifting_series, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(stage_clock, "perf_counter", lambda: now[0])

    def taking(seconds: float, function):
        def timed(*arguments):
            now[0] += seconds
            return function(*arguments)

        return timed

    monkeypatch.setattr(FlowSearch, "search", taking(100.0, FlowSearch.search))
    monkeypatch.setattr(FillHoles, "step", taking(1000.0, FillHoles.step))
    sources = (
        StubSource(taking(1.0, saying(2.0)), "one"),
        StubSource(taking(10.0, saying(-1.0)), "two", remembers=False),
    )
    frames, masks = drifting_series
    session = Chain("timed", sources, Stabiliser(("smooth", "flexible"))).start(frames[0], masks[0])
    assert session.seconds == {"stabilisation": 0.0, "one": 1.0, "two": 10.0}
    for frame in frames[1:4]:
        session.step(frame)
    expected = {"stabilisation": 600.0, "one": 4.0, "two": 40.0, "fusion": 0.0, "hole filling": 3000.0}
    assert session.seconds == expected and sum(expected.values()) == now[0]
    twin = session.copy()
    twin.step(frames[4])
    assert sum(session.seconds.values()) == now[0]  # with those of copies
    session.seconds.clear()  # the caller's own
    assert sum(session.seconds.values()) == now[0]


def test_a_stage_within_another_stops_the_outer_ones_count(monkeypatch):
    now = iter([0.0, 1.0, 3.0, 6.0, 10.0, 15.0])
    monkeypatch.setattr(stage_clock, "perf_counter", lambda: next(now))
    clock = stage_clock.StageClock()
    with pytest.raises(KeyError), clock.stage("outer"):
        with clock.stage("inner"):
            pass
        raise KeyError
    with clock.stage("outer"):
        pass
    assert clock.seconds == {"outer": 1.0 + 3.0 + 5.0, "inner": 2.0}
