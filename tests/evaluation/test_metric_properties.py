"""Properties of the single metrics, brute force on small masks, and independent implementations."""

from __future__ import annotations

import numpy as np
import pytest
from grand_challenge_metrics import stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from cinetrack.evaluation import frame_metrics
from cinetrack.evaluation import surface_distance as surface_distance_module
from cinetrack.evaluation.centroid import centroid_distances, centroids
from cinetrack.evaluation.dice import dice_coefficients
from cinetrack.evaluation.dose import _rounded_shifts, delivered_dose, planned_dose
from cinetrack.evaluation.surface_distance import surface_distances, surfaces

small_masks = arrays(np.bool_, (1, 11, 9)).filter(lambda mask: mask.any())


@given(small_masks, small_masks)
def test_dice_and_hd95_do_not_depend_on_the_order_of_the_masks(first, second):
    assert dice_coefficients(first, second) == dice_coefficients(second, first)
    assert surface_distances(first, second)[0] == surface_distances(second, first)[0]


@given(small_masks)
def test_a_mask_agrees_with_itself_perfectly(mask):
    frames = frame_metrics(mask, mask)
    for key, value in frames.values.items():
        assert value[0] == (1 if key == "dice_similarity_coefficient" else 0), key


@given(small_masks, small_masks, st.integers(0, 7), st.integers(0, 5))
def test_moving_both_masks_together_changes_no_metric(first, second, rows, columns):
    def padded(mask, down, right):
        return np.pad(mask, ((0, 0), (down, 12 - down), (right, 9 - right)))

    here = frame_metrics(padded(first, 0, 0), padded(second, 0, 0))
    there = frame_metrics(padded(first, rows, columns), padded(second, rows, columns))
    for key in here.values:
        np.testing.assert_allclose(here.values[key], there.values[key], atol=1e-6, err_msg=key)


@pytest.mark.parametrize("shift_px", [(0, 3), (4, 0), (-2, 5)])
def test_centroid_distance_is_the_length_of_a_rigid_shift_in_mm(shift_px):
    mask = np.zeros((1, 40, 64), dtype=bool)
    mask[0, 10:18, 20:33] = True
    moved = np.roll(mask, shift_px, axis=(1, 2))
    expected_mm = np.hypot(shift_px[0] * 2.0, shift_px[1] * 3.5)
    assert centroid_distances(centroids(moved), centroids(mask), (2.0, 3.5))[0] == pytest.approx(expected_mm)
    assert frame_metrics(moved, mask, (2.0, 3.5)).values["center_distance_mm"][0] == pytest.approx(expected_mm)


def test_distances_in_mm_weigh_rows_and_columns_by_their_own_spacing():
    mask = np.zeros((1, 30, 30), dtype=bool)
    mask[0, 10:14, 10:14] = True
    values = frame_metrics(np.roll(mask, 5, axis=2), mask, (1.0, 3.0)).values
    assert values["hausdorff_distance_95"][0] == pytest.approx(5)
    assert values["hausdorff_distance_95_mm"][0] == pytest.approx(15)


def brute_force(first: np.ndarray, second: np.ndarray, spacing) -> tuple[float, float]:
    def edge(mask):
        inside = {tuple(pixel) for pixel in np.argwhere(mask)}
        steps = ((1, 0), (-1, 0), (0, 1), (0, -1))
        return [(r, c) for r, c in sorted(inside) if any((r + i, c + j) not in inside for i, j in steps)]

    a, b = edge(first), edge(second)

    def nearest(points, targets):
        return [min(np.hypot((p[0] - q[0]) * spacing[0], (p[1] - q[1]) * spacing[1]) for q in targets) for p in points]

    return max(np.percentile(nearest(a, b), 95), np.percentile(nearest(b, a), 95)), np.mean(nearest(a, b))


@settings(max_examples=60)
@given(small_masks, small_masks, st.sampled_from([(1.0, 1.0), (2.0, 0.7)]))
def test_surface_distances_equal_brute_force_over_pixel_pairs(first, second, spacing):
    hd95, masd = surface_distances(first, second, spacing)
    assert (hd95[0], masd[0]) == pytest.approx(brute_force(first[0], second[0], spacing), abs=1e-5)


@given(small_masks, small_masks)
def test_the_distance_transform_for_long_outlines_gives_the_same_distances(first, second):
    direct = surface_distances(first, second, (1.5, 1.0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(surface_distance_module, "MOST_PAIRS", 0)
        by_transform = surface_distances(first, second, (1.5, 1.0))
    np.testing.assert_allclose(direct, by_transform, rtol=1e-6)


@given(small_masks)
def test_a_surface_is_the_mask_without_its_erosion(mask):
    np.testing.assert_array_equal(surfaces(mask)[0], mask[0] ^ ndimage.binary_erosion(mask[0]))


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # theirs, where a class has no pixel
@settings(max_examples=60)
@given(small_masks, small_masks)
def test_dice_and_surface_distances_agree_with_grand_challenge_metrics(first, second):
    confusion = stats.calculate_confusion_matrix(first.astype(int), second.astype(int), labels=[0, 1])
    assert dice_coefficients(first, second)[0] == pytest.approx(stats.dice_from_confusion_matrix(confusion)[1])
    # Its percentile is an element of the sorted distances, ours interpolates, so that ours lies between that element
    # and the largest; its contour distance is the worse direction's, ours one way.
    measures = stats.hausdorff_distance_measures(*(np.pad(mask[0], 1) for mask in (first, second)), percentile=0.95)
    hd95 = surface_distances(first, second)[0][0]
    assert measures.percentile_distance - 1e-5 <= hd95 <= measures.distance + 1e-5
    both_ways = max(surface_distances(first, second)[1][0], surface_distances(second, first)[1][0])
    assert both_ways == pytest.approx(measures.modified_distance, rel=1e-6)


@given(small_masks, st.integers(0, 3))
def test_centroids_equal_scipys_center_of_mass(mask, empty_frames):
    masks = np.concatenate([mask, np.zeros((empty_frames, *mask.shape[1:]), dtype=bool)])
    np.testing.assert_array_equal(centroids(mask)[0], ndimage.center_of_mass(mask[0].astype(np.uint8)))
    assert np.isnan(centroids(masks)[1:]).all()


displacement = st.floats(-60, 60) | st.integers(-80, 80).map(lambda halves: halves / 2)


@settings(max_examples=80)
@given(arrays(np.bool_, (9, 8)), displacement, displacement)
def test_the_shift_of_a_dose_is_scipys_to_the_last_bit(shape, rows, columns):
    planned = np.pad(shape, ((13, 9), (7, 20)))
    shifted = np.zeros(planned.shape, dtype=bool)
    [(where, values)] = _rounded_shifts(planned, np.array([[rows, columns]]))
    shifted[where] = values
    expected = ndimage.shift(planned.astype(np.uint8), (rows, columns), order=3, mode="nearest")
    np.testing.assert_array_equal(shifted, expected)


def test_a_dose_that_touches_the_border_is_carried_on_beyond_it():
    planned = np.zeros((20, 30), dtype=bool)
    planned[0:6, 10:20] = True
    delivered = delivered_dose(planned, np.array([[4.0, 0.0]]))
    assert delivered[0, 15] == 1


def test_equal_displacements_weigh_as_often_as_they_occur():
    planned = planned_dose(np.pad(np.ones((8, 8), dtype=bool), 16), "abdomen")
    once = np.array([[0.0, 0.0], [5.3, -2.1]])
    weighted = delivered_dose(planned, np.repeat(once, [3, 1], axis=0))
    expected = (3 * delivered_dose(planned, once[:1]) + delivered_dose(planned, once[1:])) / 4
    np.testing.assert_allclose(weighted, expected, atol=1e-6)
