"""Dense optical flow from the latest frame to a reference: where on the reference each pixel's tissue lies.

Dense inverse search (Kroeger et al., ECCV 2016; OpenCV's `DISOpticalFlow`). Every flow leads to the same reference, so
errors do not add up along the sequence, and its search starts from the previous frame's flow, because the anatomy moves
little between frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from cinetrack.errors import InputError
from cinetrack.sequence.intensity import NumberRange, gain_8bit

# Smaller frames are padded: below, the flow's pyramid has no level to work on (found by trying all settings allowed).
SMALLEST_SIDE_PX = 96
# Of the fixed point that inverts a flow: what is left is below 0.1 px for all but folded flows.
INVERSION_STEPS = 8


@dataclass(frozen=True)
class FlowSettings:
    """Settings of the flow; OpenCV's "medium" preset, which is some 17 ms a frame at 350 x 350 on one core.

    Attributes:
        finest_scale: pyramid level at which the search ends; 0 is full resolution, each level halves it.
        patch_size_px, patch_stride_px: size of the patches matched, and their distance.
        gradient_descent_iterations: of each patch's search.
        variational_refinement_iterations: of the smoothing that follows on every level.
        smoothness_weight, gradient_constancy_weight: of that smoothing's energy, beside 5 for equal intensities.
        window_percentiles: frame 0's intensities that become 0 and 255; robust to bright vessels and to spikes.
    """

    finest_scale: int = 1
    patch_size_px: int = 8
    patch_stride_px: int = 3
    gradient_descent_iterations: int = 25
    variational_refinement_iterations: int = 5
    smoothness_weight: float = 20.0
    gradient_constancy_weight: float = 10.0
    window_percentiles: tuple[float, float] = (0.5, 99.5)

    def __post_init__(self) -> None:
        # OpenCV does not check its settings; beyond these bounds it fails or crashes.
        for name, low, high in (
            ("finest_scale", 0, 3),
            ("patch_size_px", 4, 16),
            ("patch_stride_px", 1, self.patch_size_px),
            ("gradient_descent_iterations", 1, 1000),
            ("variational_refinement_iterations", 0, 1000),
            ("smoothness_weight", 0, 1000),
            ("gradient_constancy_weight", 0, 1000),
        ):
            if not low <= getattr(self, name) <= high:
                raise InputError(f"registration {name}: expected {low} to {high}, found {getattr(self, name)}")
        low, high = self.window_percentiles
        if not 0 <= low < high <= 100:
            raise InputError(f"registration settings: expected percentiles 0 <= low < high <= 100, found {low}, {high}")


# Follows most anatomy better under cine-MR's noise (docs/motion-compensation.md), and small targets that move by
# themselves worse.
SMOOTH_FLOW = FlowSettings(patch_size_px=10, patch_stride_px=4, smoothness_weight=40.0, gradient_constancy_weight=20.0)


class FlowSearch:
    """Finds flows between frames of one sequence. Holds no frame, so copies of a session may share it."""

    def __init__(self, first_frame: np.ndarray, settings: FlowSettings) -> None:
        """`first_frame`, (H, W), gives the frames' shape and the intensities that the search tells apart."""
        self._shape = first_frame.shape
        self._numbers = NumberRange.of(first_frame)
        self._low, high = np.percentile(self._numbers.values(first_frame), settings.window_percentiles)
        self._gain, _ = gain_8bit(float(self._low), float(high))
        self._search = _dis(settings)
        self.grid = pixel_grid(self._shape)

    def prepared(self, frame: np.ndarray) -> np.ndarray:
        """A frame as the search takes it: uint8, padded where small."""
        with np.errstate(over="ignore"):  # far beyond the window is 255
            image = np.clip((self._numbers.values(frame) - self._low) * self._gain, 0, 255).astype(np.uint8)
        missing = [max(SMALLEST_SIDE_PX - side, 0) for side in self._shape]
        return np.pad(image, [(0, n) for n in missing], mode="edge") if any(missing) else image

    def search(self, latest: np.ndarray, reference: np.ndarray, start: np.ndarray | None) -> np.ndarray:
        """The flow from `latest` to `reference`, both prepared.

        Args:
            start: the previous frame's flow to the same reference, or None.
        Returns:
            as large as the prepared frames, (H, W, 2) float32, (column, row) displacement in px.
        """
        return self._search.calc(latest, reference, None if start is None else start.copy())

    def on_reference(self, flow: np.ndarray) -> np.ndarray:
        """Where on the reference the latest frame's pixels lie: (H, W, 2) float32, (column, row) in px."""
        return self.grid + flow[: self._shape[0], : self._shape[1]]

    def on_latest(self, flow: np.ndarray, box: tuple[slice, slice] = (slice(None), slice(None))) -> np.ndarray:
        """Where on the latest frame the reference's pixels lie, as `on_reference`: the same motion the other way.

        Args:
            box: rows and columns of the reference that are wanted.
        """
        flow = np.ascontiguousarray(flow[: self._shape[0], : self._shape[1]])
        grid = self.grid[box]
        where = grid - flow[box]
        for _ in range(INVERSION_STEPS):
            where = grid - sampled(flow, where)
        return where


def pixel_grid(shape: tuple[int, int]) -> np.ndarray:
    """Every pixel's own place, (H, W, 2) float32, (column, row) in px."""
    return np.stack(np.meshgrid(*(np.arange(n, dtype=np.float32) for n in shape[::-1])), axis=-1)


def sampled(image: np.ndarray, where: np.ndarray, interpolation: int = cv2.INTER_LINEAR) -> np.ndarray:
    """An (H, W) or (H, W, C) float32 image at the points `where`; outside of it the nearest edge value holds."""
    return cv2.remap(image, where, None, interpolation, borderMode=cv2.BORDER_REPLICATE)


def _dis(settings: FlowSettings) -> cv2.DISOpticalFlow:
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(settings.finest_scale)
    search.setPatchSize(settings.patch_size_px)
    search.setPatchStride(settings.patch_stride_px)
    search.setGradientDescentIterations(settings.gradient_descent_iterations)
    search.setVariationalRefinementIterations(settings.variational_refinement_iterations)
    search.setVariationalRefinementAlpha(settings.smoothness_weight)
    search.setVariationalRefinementGamma(settings.gradient_constancy_weight)
    return search
