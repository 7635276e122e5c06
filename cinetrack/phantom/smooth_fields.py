"""Smooth random fields: the raw material of textures, warps, coil sensitivities and random shapes."""

from __future__ import annotations

import cv2
import numpy as np


def smooth_field(rng: np.random.Generator, shape: tuple[int, int], scale_px: float) -> np.ndarray:
    """A smooth random field of about zero mean and unit deviation.

    Args:
        shape: (H, W).
        scale_px: distance over which values change; the field is cubic between random values this far apart.
    Returns:
        (H, W) float32.
    """
    coarse = tuple(max(4, int(np.ceil(side / scale_px)) + 1) for side in shape)
    values = rng.standard_normal(coarse, dtype=np.float32)
    # Interpolation lowers the deviation between the nodes; 1.3 brings it back to about 1.
    return 1.3 * cv2.resize(values, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)


def texture(rng: np.random.Generator, shape: tuple[int, int], scales_px: tuple[float, ...]) -> np.ndarray:
    """A sum of smooth fields whose amplitude grows with the root of their scale; (H, W) float32, unit deviation."""
    weights = np.sqrt(np.asarray(scales_px))
    total = sum(weight * smooth_field(rng, shape, scale) for weight, scale in zip(weights, scales_px, strict=True))
    return total / np.sqrt((weights**2).sum())


def smooth_curve(rng: np.random.Generator, length: int, scale_px: float) -> np.ndarray:
    """A smooth random curve of about zero mean and unit deviation, (length,) float32."""
    coarse = rng.standard_normal((1, max(4, int(np.ceil(length / scale_px)) + 1)), dtype=np.float32)
    return 1.3 * cv2.resize(coarse, (length, 1), interpolation=cv2.INTER_CUBIC)[0]
