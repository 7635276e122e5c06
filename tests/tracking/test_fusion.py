"""What the sources say together: one weighted sum of log-odds, within limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stub_sources import StubSource, saying

from cinetrack.tracking import BoxPrompt, Chain
from cinetrack.tracking.evidence.outline import OutlineSource
from cinetrack.tracking.evidence.source import Evidence
from cinetrack.tracking.fusion import fused
from cinetrack.tracking.signed_distance import signed_distance

SHAPE = (60, 70)


def block(top: int, left: int, height: int, width: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[top : top + height, left : left + width] = True
    return mask


def evidence(logits, object_score: float = math.nan, predicted_iou: float = math.nan) -> Evidence:
    return Evidence(np.asarray(logits, np.float32), object_score, predicted_iou)


@given(
    st.lists(
        st.tuples(
            st.floats(-40, 40, width=32),
            st.floats(0.125, 4, width=32),
            st.one_of(st.none(), st.floats(0.5, 16, width=32)),
            st.sampled_from([math.nan, 2.0, -2.0]),
        ),
        min_size=2,
        max_size=4,
    )
)
def test_the_sum_is_of_weighted_and_limited_log_odds_of_those_that_see_the_target(said):
    found = [
        (StubSource(lambda pixels: None, weight=weight, limit=limit), evidence([[logit, -logit]], score))
        for logit, weight, limit, score in said
    ]
    expected = 0.0
    for logit, weight, limit, score in said:
        within = math.inf if limit is None else limit
        expected += 0.0 if score < 0 else weight * max(-within, min(logit, within))
    total = fused(found).logits
    assert total.dtype == np.float32
    np.testing.assert_allclose(total, [[expected, -expected]], atol=1e-4)


def test_a_source_alone_is_taken_as_it_is():
    source = StubSource(lambda pixels: None, weight=0.25, limit=8.0)
    said = evidence([[-500.0, 300.0]], -3.0, 0.4)
    found = fused([(source, said)])
    np.testing.assert_array_equal(found.logits, said.logits)
    assert (found.object_score, found.predicted_iou) == (-3.0, 0.4)
    found.logits[:] = 0
    assert said.logits[0, 0] == -500.0


def test_the_scores_are_those_of_the_first_source_that_has_any():
    plain = StubSource(lambda pixels: None)
    found = fused([(plain, evidence([[1]])), (plain, evidence([[1]], 2.0, 0.7)), (plain, evidence([[1]], 5.0, 0.1))])
    assert (found.object_score, found.predicted_iou) == (2.0, 0.7)
    assert math.isnan(fused([(plain, evidence([[1]]))] * 2).object_score)


def test_where_sam2_says_that_the_target_is_absent_the_nnunets_mask_wins():
    """SAM2's logits of an absent target are a constant far below all others."""
    drawn = block(5, 10, 35, 35)
    drawn[0:4, 10:15] = True
    assert drawn.sum() == 1245
    sam2 = StubSource(saying(-1024.0, object_score=-6.0), "sam2", limit=8.0)
    nnunet = StubSource(lambda pixels: evidence(np.where(drawn, 2.0, -2.0)), "nnunet", limit=8.0, decodes=False)
    session = Chain("both", (sam2, nnunet)).start(np.zeros(SHAPE), block(8, 12, 20, 20))
    result = session.step(np.zeros(SHAPE))
    np.testing.assert_array_equal(result.mask, drawn)
    assert result.object_score == -6.0


def test_it_wins_beside_an_outline_too_as_far_as_its_weight_goes():
    outlined = block(20, 20, 20, 20)
    wider = block(17, 17, 26, 26)
    sam2 = StubSource(saying(-1024.0, object_score=-6.0), "sam2", limit=8.0)
    nnunet = StubSource(lambda pixels: evidence(np.where(wider, 9.0, -9.0)), "nnunet", limit=8.0)
    for weight, expected in ((1.0, wider), (3.0, signed_distance(outlined) > -8 / 3), (100.0, outlined)):
        session = Chain("three", (OutlineSource(weight), sam2, nnunet)).start(np.zeros(SHAPE), outlined)
        np.testing.assert_array_equal(session.step(np.zeros(SHAPE)).mask, expected & wider)


def test_where_every_source_says_that_the_target_is_absent_there_is_no_mask():
    absent = [StubSource(saying(-1024.0, object_score=-1.0), name) for name in ("a", "b")]
    result = Chain("gone", tuple(absent)).start(np.zeros(SHAPE), block(9, 9, 9, 9)).step(np.zeros(SHAPE))
    assert result.logits.shape == result.mask.shape == SHAPE and not result.mask.any()
    assert result.object_score == -1.0


def test_a_source_with_nothing_to_say_leaves_the_word_to_the_other_and_then_to_the_outline():
    outlined = block(9, 9, 9, 9)
    silent = StubSource(lambda pixels: None, "silent")
    other = StubSource(lambda pixels: evidence(np.full(SHAPE, 50.0)) if pixels.any() else None, "other", limit=8.0)
    silent.decodes = False
    session = Chain("two", (silent, other)).start(np.ones(SHAPE), block(1, 1, 2, 2))
    assert (session.step(np.ones(SHAPE)).logits == 50).all()
    for sources in ((OutlineSource(), silent), (silent, OutlineSource()), (silent,)):
        session = Chain("two", sources).start(np.ones(SHAPE), outlined)
        np.testing.assert_allclose(session.results[0].logits, signed_distance(outlined), rtol=1e-5)
        np.testing.assert_array_equal(session.step(np.ones(SHAPE)).mask, outlined)


@pytest.mark.parametrize("edge", [np.s_[:3, 20:30], np.s_[-3:, 20:30], np.s_[20:30, :3], np.s_[20:30, -3:]])
def test_a_source_that_sees_surroundings_says_nothing_of_a_target_cut_by_the_frames_border(edge):
    cut = np.zeros(SHAPE, bool)
    cut[edge] = True
    everywhere = StubSource(saying(1000.0), "near", region_px=64, limit=8.0, decodes=False)
    chain = Chain("two", (OutlineSource(), everywhere))
    np.testing.assert_array_equal(chain.start(np.zeros(SHAPE), cut).step(np.zeros(SHAPE)).mask, cut)
    assert not everywhere.prompts
    assert chain.start(np.zeros(SHAPE), block(20, 20, 9, 9)).step(np.zeros(SHAPE)).mask.sum() > 81


def test_a_box_is_decoded_first_and_its_mask_given_to_the_others():
    found = block(20, 25, 10, 12)
    decoder = StubSource(saying(np.where(found, 4.0, -4.0)), "decoder", limit=8.0)
    other = StubSource(saying(0.0), "other", decodes=False)
    session = Chain("two", (OutlineSource(), other, decoder)).start(np.zeros(SHAPE), BoxPrompt(19, 24, 31, 38))
    assert isinstance(decoder.prompts[0], BoxPrompt)
    np.testing.assert_array_equal(session.results[0].mask, found)
    np.testing.assert_array_equal(other.prompts[0].mask, found)
    np.testing.assert_array_equal(session.step(np.zeros(SHAPE)).mask, found)


def test_a_box_with_nothing_in_it_leaves_the_others_silent_until_the_target_is_prompted_anew():
    said = np.full(SHAPE, -4.0)
    decoder = StubSource(lambda pixels: evidence(said, 1.0), "decoder", limit=8.0)
    session = Chain("two", (OutlineSource(), decoder)).start(np.zeros(SHAPE), BoxPrompt(19, 24, 31, 38))
    assert not session.results[0].mask.any() and not session.step(np.zeros(SHAPE)).mask.any()
    said[block(20, 25, 10, 12)] = 4.0
    assert session.correct(BoxPrompt(19, 24, 31, 38)).mask.sum() == 120
    assert session.step(np.zeros(SHAPE)).logits[25, 30] > 4.0  # the outline counts again
