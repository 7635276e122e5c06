"""All frame-wise metrics of one case, in pixels as the challenge takes them and in millimetres.

Every frame that has a true mask gets a value of each metric. A frame with an empty prediction gets the challenge's
penalty: DSC 0, and the image's longer side for a distance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cinetrack.errors import InputError
from cinetrack.evaluation.centroid import centroid_distances, centroids
from cinetrack.evaluation.dice import dice_coefficients
from cinetrack.evaluation.metric_names import CENTER, DICE, HD95, MASD, millimetre_key
from cinetrack.evaluation.surface_distance import surface_distances


@dataclass(frozen=True, eq=False)
class FrameMetrics:
    """Metrics of the N frames that have a true mask, in the order of the frames.

    Attributes:
        frames: (N,) index in the series.
        missed: (N,) bool, the prediction is empty.
        values: (N,) float64 for each key: the four geometric metrics, and the distances' `_mm` keys.
        displacements_px: (N, 2) predicted minus true centroid (row, column); NaN where missed.
    """

    frames: np.ndarray
    missed: np.ndarray
    values: Mapping[str, np.ndarray]
    displacements_px: np.ndarray


def frame_metrics(
    predicted: np.ndarray, reference: np.ndarray, spacing_mm: tuple[float, float] = (1.0, 1.0)
) -> FrameMetrics:
    """Compare two series of masks frame by frame; frames without a true mask are left out.

    Args:
        predicted, reference: (T, H, W) bool.
        spacing_mm: (row, column).
    Raises:
        InputError: the shapes differ.
    """
    if predicted.shape != reference.shape:
        raise InputError(shapes_differ(predicted.shape, reference.shape))
    height, width = reference.shape[1:]
    labelled = np.flatnonzero(reference.any(axis=(1, 2)))
    window = _bounding_box(predicted | reference)
    ours, truth = predicted[(labelled, *window)], reference[(labelled, *window)]
    missed = ~np.any(ours, axis=(1, 2))

    our_centres, true_centres = centroids(ours), centroids(truth)
    # The challenge cuts each frame at the column that equals the number of rows before it takes surfaces: on a
    # wide image, what lies beyond is not seen. In mm the whole image counts.
    challenge_columns = max(height - window[1].start, 0)
    hd95_px, masd_px = surface_distances(ours[:, :, :challenge_columns], truth[:, :, :challenge_columns])
    if spacing_mm == (1.0, 1.0) and window[1].stop <= height:
        hd95_mm, masd_mm = hd95_px, masd_px
    else:
        hd95_mm, masd_mm = surface_distances(ours, truth, spacing_mm)

    penalty_px = max(height, width)
    penalty_mm = max(height * spacing_mm[0], width * spacing_mm[1])
    values = {
        DICE.key: (dice_coefficients(ours, truth), 0.0),
        HD95.key: (hd95_px, penalty_px),
        MASD.key: (masd_px, penalty_px),
        CENTER.key: (centroid_distances(our_centres, true_centres), penalty_px),
        millimetre_key(HD95): (hd95_mm, penalty_mm),
        millimetre_key(MASD): (masd_mm, penalty_mm),
        millimetre_key(CENTER): (centroid_distances(our_centres, true_centres, spacing_mm), penalty_mm),
    }
    return FrameMetrics(
        frames=labelled,
        missed=missed,
        values={key: np.where(missed, penalty, value).astype(np.float64) for key, (value, penalty) in values.items()},
        displacements_px=our_centres - true_centres,
    )


def _bounding_box(masks: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns that any frame uses, so that the metrics look at nothing else."""
    footprint = np.any(masks, axis=0)
    rows, columns = np.flatnonzero(np.any(footprint, axis=1)), np.flatnonzero(np.any(footprint, axis=0))
    if len(rows) == 0:
        return slice(0, 0), slice(0, 0)
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def shapes_differ(predicted: tuple[int, ...], reference: tuple[int, ...]) -> str:
    """What to say of masks whose shapes, (T, H, W), should be one and are not."""
    wanted, found = (" x ".join(str(length) for length in shape) for shape in (reference, predicted))
    return f"expected a prediction of the truth's {wanted} (frames x rows x columns), found {found}"
