"""The challenge's metrics written out as slowly and plainly as they are defined, for parity tests and benchmark.

One frame, one metric at a time, on whole images, with scipy's own functions and none of the package's. The order of
the arrays' axes is the library's (time, row, column).
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

METRICS = ("dice_similarity_coefficient", "hausdorff_distance_95", "surface_distance_average", "center_distance")


def direct_case(predicted: np.ndarray, truth: np.ndarray, region: str) -> dict[str, float]:
    """The metrics.json entries of one case. Both arrays (T, H, W) uint8 {0, 1}, as read from files."""
    height, width = truth.shape[1:]
    keep = [t for t in range(len(truth)) if truth[t].sum() > 0]
    predicted, truth = predicted[keep], truth[keep]
    lists: dict[str, list[float]] = {name: [] for name in METRICS}
    penalties = 0
    for ours, true in zip(predicted, truth, strict=True):
        if ours.sum() == 0:
            penalties += 1
            continue
        lists["dice_similarity_coefficient"].append(
            np.float32(2 * np.logical_and(ours, true).sum() / (ours.sum() + true.sum()))
        )
        hd95, masd = direct_surface_distances(ours, true)
        lists["hausdorff_distance_95"].append(hd95)
        lists["surface_distance_average"].append(masd)
        a, b = ndimage.center_of_mass(true), ndimage.center_of_mass(ours)
        lists["center_distance"].append(np.sqrt((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2))
    row: dict[str, float] = {}
    for name, values in lists.items():
        penalty = 0.0 if name == "dice_similarity_coefficient" else float(max(height, width))
        everything = np.array([float(value) for value in values] + [penalty] * penalties)
        row[name] = everything[1:].mean()
        row[f"std_{name}"] = everything[1:].std()
        row[f"min_{name}"] = everything[1:].min()
        row[f"max_{name}"] = everything.max()
    row["relative_d98_dose"] = direct_relative_d98(predicted, truth, region)
    return row


def direct_surface_distances(ours: np.ndarray, true: np.ndarray) -> tuple[np.float32, np.float32]:
    """HD95 and MASD of one frame, on the crop with its end clipped at the number of rows on both axes."""
    rows, columns = np.nonzero(ours | true)
    limit = ours.shape[0]
    top, left = (min(max(low - 1, 0), limit) for low in (rows.min(), columns.min()))
    bottom, right = (min(high + 1, limit) for high in (rows.max(), columns.max()))
    ours, true = ours[top:bottom, left:right], true[top:bottom, left:right]
    our_edge = ndimage.binary_erosion(ours) ^ ours.astype(bool)
    true_edge = ndimage.binary_erosion(true) ^ true.astype(bool)
    if not our_edge.any() or not true_edge.any():
        return np.float32(np.inf), np.float32(np.inf)
    to_true = ndimage.distance_transform_edt(~true_edge).astype(np.float32)[our_edge]
    to_ours = ndimage.distance_transform_edt(~our_edge).astype(np.float32)[true_edge]
    return np.float32(max(np.quantile(to_true, 0.95), np.quantile(to_ours, 0.95))), np.mean(to_true)


def direct_relative_d98(predicted: np.ndarray, truth: np.ndarray, region: str) -> float:
    """The dose metric with one whole-image shift a frame, in the truth's number type."""
    target = truth[0]
    plan = ndimage.binary_dilation(target, ndimage.generate_binary_structure(2, 1), iterations=3)
    plan = ndimage.gaussian_filter(plan.astype(np.float32), 6 if region == "lung" else 4) > 0.25
    plan = plan.astype(truth.dtype)
    total = np.zeros(target.shape, np.float32)
    for ours, true in zip(predicted, truth, strict=True):
        if ours.sum() == 0:
            continue
        step = np.array(ndimage.center_of_mass(ours)) - np.array(ndimage.center_of_mass(true))
        total += ndimage.shift(plan, step, order=3, mode="nearest")
    total /= len(truth)
    planned = direct_d98(plan, target)
    return direct_d98(total, target) / planned if planned else float("nan")


def direct_d98(dose: np.ndarray, target: np.ndarray) -> float:
    edges = np.arange(-0.05, dose.max() + 0.1, 0.1)
    counts = np.histogram(dose[target > 0], edges)[0]
    volume = np.array([counts[i:].sum() for i in range(len(counts))]) / counts.sum()
    if volume[0] == volume.sum():  # everything in the lowest bin
        return 0.0
    centres = np.round((edges[:-1] + edges[1:]) / 2, 10)
    return float(np.interp(0.98, volume[::-1], centres[::-1]))
