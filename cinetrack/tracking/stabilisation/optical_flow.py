"""Dense optical flow from the latest frame to a reference: where on the reference each pixel's tissue lies.

Dense inverse search (Kroeger et al., ECCV 2016; OpenCV's `DISOpticalFlow`). Every flow leads to the same reference, so
errors do not add up along the sequence, and its search starts from the previous frame's flow, because the anatomy moves
little between frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

import cv2
import numpy as np

from cinetrack.sequence.intensity import NumberRange, gain_8bit

# Smaller frames are padded: below, the flow's pyramid has no level to work on (found by trying all settings allowed).
SMALLEST_SIDE_PX = 96
# Of the fixed point that inverts a flow: what is left is below 0.1 px for all but folded flows.
INVERSION_STEPS = 8


# OpenCV's "medium" preset, some 17 ms a frame at 350 x 350 on one core.
FINEST_SCALE = 1  # pyramid level at which the search ends; 0 is full resolution, each level halves it
GRADIENT_DESCENT_ITERATIONS = 25  # of each patch's search
VARIATIONAL_REFINEMENT_ITERATIONS = 5  # of the smoothing that follows on every level
# Frame 0's intensities that become 0 and 255, in percent; robust to bright vessels and to spikes.
WINDOW_PERCENTILES = (0.5, 99.5)


@dataclass(frozen=True)
class FlowSettings:
    """How stiff a flow is.

    Attributes:
        patch_size_px, patch_stride_px: size of the patches matched, and their distance.
        smoothness_weight, gradient_constancy_weight: of the energy that smoothing minimises, beside 5 for equal
            intensities.
    """

    patch_size_px: int
    patch_stride_px: int
    smoothness_weight: float
    gradient_constancy_weight: float


# "flexible" is OpenCV's preset. "smooth" follows most anatomy better under cine-MR's noise, and small targets that move
# by themselves worse.
FLOWS = {"smooth": FlowSettings(10, 4, 40.0, 20.0), "flexible": FlowSettings(8, 3, 20.0, 10.0)}


class FlowSearch:
    """Finds flows between frames of one sequence. Holds no frame, so copies of a session may share it."""

    def __init__(self, first_frame: np.ndarray, settings: FlowSettings) -> None:
        """`first_frame`, (H, W), gives the frames' shape and the intensities that the search tells apart."""
        self._shape = first_frame.shape
        self._numbers = NumberRange.of(first_frame)
        self._low, high = np.percentile(self._numbers.values(first_frame), WINDOW_PERCENTILES)
        self._gain, _ = gain_8bit(float(self._low), float(high))
        self._settings, self._search = settings, _dis(settings)
        self._in_use = Lock()  # OpenCV's search has buffers of its own; copies of a session may be in several threads
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
        if start is None:  # a search that was given a start before would begin with what is left of that
            # OpenCV takes None for no start; its types do not know.
            return _dis(self._settings).calc(latest, reference, None)  # type: ignore[call-overload]
        with self._in_use:
            return self._search.calc(latest, reference, start.copy())  # which changes what it is given

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
    # One map holds both coordinates, which OpenCV's types do not know.
    return cv2.remap(image, where, None, interpolation, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]


def _dis(settings: FlowSettings) -> cv2.DISOpticalFlow:
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(FINEST_SCALE)
    search.setPatchSize(settings.patch_size_px)
    search.setPatchStride(settings.patch_stride_px)
    search.setGradientDescentIterations(GRADIENT_DESCENT_ITERATIONS)
    search.setVariationalRefinementIterations(VARIATIONAL_REFINEMENT_ITERATIONS)
    search.setVariationalRefinementAlpha(settings.smoothness_weight)
    search.setVariationalRefinementGamma(settings.gradient_constancy_weight)
    return search
