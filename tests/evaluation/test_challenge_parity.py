"""The scores equal the challenge's definitions, written out in direct_evaluation.py; one named test a quirk."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from direct_evaluation import direct_case, direct_d98, direct_relative_d98
from hypothesis import given, settings
from hypothesis import strategies as st

from cinetrack.errors import InputError
from cinetrack.evaluation import case_metrics
from cinetrack.evaluation.dose import d98

TOLERANCE = 1e-5


def assert_equals_direct(predicted: np.ndarray, truth: np.ndarray, region: str = "abdomen") -> dict[str, float]:
    scores = case_metrics(predicted, truth, region).scores
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # infinite distances have no deviation
        expected = direct_case(predicted.astype(np.uint8), truth.astype(np.uint8), region)
    assert scores.keys() == expected.keys()
    for key, value in expected.items():
        assert scores[key] == pytest.approx(value, abs=TOLERANCE, nan_ok=True), key
    return scores


def boxes(shape: tuple[int, int, int], corners, sizes) -> np.ndarray:
    masks = np.zeros(shape, dtype=bool)
    for t, ((row, column), (height, width)) in enumerate(zip(corners, sizes, strict=True)):
        masks[t, row : row + height, column : column + width] = True
    return masks


@st.composite
def box_series(draw, shape: tuple[int, int, int]) -> np.ndarray:
    """Boxes anywhere, touching the border too; some frames empty."""
    frames, height, width = shape
    corner = st.tuples(st.integers(0, height - 1), st.integers(0, width - 1))
    size = st.tuples(st.integers(0, 14), st.integers(0, 14))
    return boxes(
        shape,
        draw(st.lists(corner, min_size=frames, max_size=frames)),
        draw(st.lists(size, min_size=frames, max_size=frames)),
    )


@st.composite
def pairs_of_series(draw) -> tuple[np.ndarray, np.ndarray]:
    shape = (draw(st.integers(2, 5)), draw(st.integers(12, 44)), draw(st.integers(12, 44)))
    if draw(st.booleans()):
        rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        density = draw(st.floats(0.01, 0.7))
        return rng.random(shape) < density, rng.random(shape) < density
    return draw(box_series(shape)), draw(box_series(shape))


@settings(max_examples=120)
@given(pairs_of_series(), st.sampled_from(["abdomen", "lung"]))
def test_random_cases_score_as_the_direct_definitions(pair, region):
    predicted, truth = pair
    if truth.any(axis=(1, 2)).sum() < 2:
        with pytest.raises(InputError, match="at least two frames"):
            case_metrics(predicted, truth, region)
        return
    assert_equals_direct(predicted, truth, region)


@pytest.mark.parametrize("amplitude", [0.7, 3.2, 11.0])
def test_a_breathing_target_of_real_size_scores_as_the_direct_definitions(amplitude):
    rows, columns = np.mgrid[:90, :110]
    truth = np.stack([np.hypot(rows - 45 - 8 * np.sin(t), columns - 50) < 11 for t in range(6)])
    predicted = np.stack(
        [np.hypot(rows - 45 - 8 * np.sin(t) - amplitude * np.cos(2 * t), (columns - 50) / 1.2) < 10 for t in range(6)]
    )
    assert_equals_direct(predicted, truth)


@pytest.fixture
def drifting() -> tuple[np.ndarray, np.ndarray]:
    """Four frames of 40 x 40 with a box that drifts, and a prediction one row late."""
    corners = [(12, 10), (13, 12), (15, 13), (16, 15)]
    truth = boxes((4, 40, 40), corners, [(8, 9)] * 4)
    predicted = boxes((4, 40, 40), [(r - 1, c) for r, c in corners], [(8, 9)] * 4)
    predicted[0] = truth[0]
    return predicted, truth


def test_frames_without_truth_are_dropped_before_anything_else(drifting):
    predicted, truth = drifting
    truth[2] = False
    scores = assert_equals_direct(predicted, truth)
    assert scores == case_metrics(predicted[[0, 1, 3]], truth[[0, 1, 3]], "abdomen").scores


def test_when_the_first_frame_has_no_truth_the_next_one_counts_as_prompted(drifting):
    predicted, truth = drifting
    truth[0] = False
    assert assert_equals_direct(predicted, truth) == case_metrics(predicted[1:], truth[1:], "abdomen").scores


def test_an_empty_prediction_costs_the_longer_image_side_in_every_distance(drifting):
    predicted, truth = (np.pad(masks, ((0, 0), (0, 9), (0, 0))) for masks in drifting)
    predicted[3] = False
    scores = assert_equals_direct(predicted, truth)
    assert scores["min_dice_similarity_coefficient"] == 0
    assert scores["max_hausdorff_distance_95"] == scores["max_center_distance"] == 49


def test_an_empty_prediction_in_frame_0_keeps_its_penalty_and_drops_the_next_frame_instead(drifting):
    predicted, truth = drifting
    predicted[0] = False
    predicted[1] = truth[1]  # the one perfect frame, which is the one that gets lost
    scores = assert_equals_direct(predicted, truth)
    assert scores["min_center_distance"] == 1.0
    assert scores["center_distance"] == pytest.approx((1 + 1 + 40) / 3)


def test_the_maximum_alone_is_taken_over_the_prompted_frame_too(drifting):
    predicted, truth = drifting
    predicted[0] = np.roll(truth[0], 5, axis=1)
    scores = assert_equals_direct(predicted, truth)
    assert scores["max_center_distance"] == 5
    assert scores["center_distance"] == 1


def test_when_every_prediction_is_empty_only_penalties_remain(drifting):
    _, truth = drifting
    scores = assert_equals_direct(np.zeros_like(truth), truth)
    assert scores["dice_similarity_coefficient"] == scores["relative_d98_dose"] == 0
    assert scores["hausdorff_distance_95"] == 40


def test_one_labelled_frame_leaves_nothing_to_score(drifting):
    predicted, truth = drifting
    truth[1:] = False
    with pytest.raises(InputError, match="at least two frames.* found 1"):
        case_metrics(predicted, truth, "abdomen")


def test_on_a_wide_image_surfaces_are_cut_at_the_column_that_equals_the_rows():
    truth = boxes((2, 30, 60), [(8, 20), (8, 20)], [(10, 16), (10, 16)])
    predicted = boxes((2, 30, 60), [(8, 20), (8, 20)], [(10, 16), (10, 25)])
    scores = assert_equals_direct(predicted, truth)
    # Both end at column 30 for the challenge, so the nine columns too many go unseen; Dice sees them.
    assert scores["hausdorff_distance_95"] == 0
    assert scores["dice_similarity_coefficient"] < 0.8
    assert case_metrics(predicted, truth, "abdomen").millimetres["hausdorff_distance_95_mm"] > 5


def test_on_a_wide_image_a_target_beyond_the_cut_is_infinitely_far():
    truth = boxes((2, 30, 60), [(8, 40), (8, 40)], [(10, 9), (10, 9)])
    scores = assert_equals_direct(truth, truth)
    assert scores["hausdorff_distance_95"] == scores["surface_distance_average"] == np.inf
    assert case_metrics(truth, truth, "abdomen").millimetres["hausdorff_distance_95_mm"] == 0


def test_a_tall_image_is_not_cut():
    truth = boxes((2, 60, 30), [(45, 8), (45, 8)], [(10, 9), (10, 9)])
    assert assert_equals_direct(truth, truth)["hausdorff_distance_95"] == 0


def test_masd_is_one_way_from_prediction_to_truth():
    small = boxes((2, 40, 40), [(15, 15), (15, 15)], [(4, 4), (4, 4)])
    large = boxes((2, 40, 40), [(15, 15), (15, 15)], [(4, 4), (4, 20)])
    there = assert_equals_direct(small, large)["surface_distance_average"]
    back = assert_equals_direct(large, small)["surface_distance_average"]
    assert there < 1 < back


def test_an_empty_prediction_delivers_no_dose_and_still_counts_in_the_mean(drifting):
    predicted, truth = drifting
    predicted[:] = truth
    predicted[2] = False
    delivered = case_metrics(predicted, truth, "abdomen").delivered
    assert delivered.max() == pytest.approx(3 / 4)
    assert assert_equals_direct(predicted, truth)["relative_d98_dose"] < 0.9


def test_the_shifted_dose_is_rounded_because_label_files_hold_whole_numbers(drifting):
    predicted, truth = drifting
    predicted[1:, 12, 10] = True  # off-centre by a fraction of a pixel
    delivered = case_metrics(predicted, truth, "abdomen", label_type=np.uint8).delivered
    assert set(np.unique(delivered * 4)) <= {0, 1, 2, 3, 4}
    smooth = case_metrics(predicted, truth, "abdomen", label_type=np.float32)
    assert len(np.unique(smooth.delivered)) > 50
    expected = direct_relative_d98(predicted.astype(np.uint8), truth.astype(np.float32), "abdomen")
    assert smooth.scores["relative_d98_dose"] == pytest.approx(expected, abs=TOLERANCE)


def test_the_planned_dose_is_wider_for_the_region_lung_alone(drifting):
    predicted, truth = drifting
    predicted = np.roll(predicted, 6, axis=2)
    by_region = {region: assert_equals_direct(predicted, truth, region) for region in ("lung", "thorax", "Lung")}
    assert by_region["thorax"] == by_region["Lung"]
    assert by_region["lung"]["relative_d98_dose"] != by_region["thorax"]["relative_d98_dose"]


def test_a_target_of_one_pixel_has_no_planned_dose_to_relate_to():
    truth = boxes((3, 30, 30), [(12, 12)] * 3, [(1, 1)] * 3)
    assert np.isnan(assert_equals_direct(truth, truth)["relative_d98_dose"])


def test_d98_is_0_where_all_of_the_target_is_in_the_first_bin():
    dose = np.zeros((6, 6), dtype=np.float32)
    dose[0, 0] = 1
    target = np.zeros((6, 6), dtype=bool)
    target[3, 3] = True
    assert d98(dose, target) == direct_d98(dose, target) == 0


@settings(max_examples=60)
@given(st.lists(st.integers(0, 20), min_size=3, max_size=40), st.integers(1, 20))
def test_d98_equals_the_direct_histogram_on_doses_that_lie_on_bin_edges(numerators, frames):
    dose = np.array([numerators], dtype=np.float32)
    dose /= frames  # means over a number of frames, such as 9/20 = 0.45
    target = np.ones(dose.shape, dtype=bool)
    target[0, 0] = False
    assert d98(dose, target) == pytest.approx(direct_d98(dose, target), abs=TOLERANCE)
