"""Dense registration to the prompted frame: what clinics track with today, and the baseline of every table.

Dense inverse search optical flow (Kroeger et al., ECCV 2016; OpenCV's `DISOpticalFlow`) is found from every frame to
the frame on which the target was outlined, so errors do not add up along the sequence, and it starts from the
previous frame's flow, because the anatomy moves little between frames. The outline's signed distance is warped
along the flow.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import cv2
import numpy as np

from cinetrack.errors import InputError
from cinetrack.sequence.intensity import finite_frame
from cinetrack.tracking.protocol import Prompt, StepResult, as_prompts, check_frame, check_target, mask_of
from cinetrack.tracking.signed_distance import signed_distance

# Smaller frames are padded: below, the flow's pyramid has no level to work on (found by trying all settings allowed).
SMALLEST_SIDE_PX = 96


@dataclass(frozen=True)
class RegistrationSettings:
    """Settings of the flow; OpenCV's "medium" preset, which is about 20 ms a frame at 350 x 350 on one core.

    Attributes:
        finest_scale: pyramid level at which the search ends; 0 is full resolution, each level halves it.
        patch_size_px, patch_stride_px: size of the patches matched, and their distance.
        gradient_descent_iterations: of each patch's search.
        variational_refinement_iterations: of the smoothing that follows on every level.
        window_percentiles: frame 0's intensities that become 0 and 255; robust to bright vessels and to spikes.
    """

    finest_scale: int = 1
    patch_size_px: int = 8
    patch_stride_px: int = 3
    gradient_descent_iterations: int = 25
    variational_refinement_iterations: int = 5
    window_percentiles: tuple[float, float] = (0.5, 99.5)

    def __post_init__(self) -> None:
        # OpenCV does not check its settings; beyond these bounds it fails or crashes.
        for name, low, high in (
            ("finest_scale", 0, 3),
            ("patch_size_px", 4, 16),
            ("patch_stride_px", 1, self.patch_size_px),
            ("gradient_descent_iterations", 1, 1000),
            ("variational_refinement_iterations", 0, 1000),
        ):
            if not low <= getattr(self, name) <= high:
                raise InputError(f"registration {name}: expected {low} to {high}, found {getattr(self, name)}")
        low, high = self.window_percentiles
        if not 0 <= low < high <= 100:
            raise InputError(f"registration settings: expected percentiles 0 <= low < high <= 100, found {low}, {high}")


class RegistrationTracker:
    """Warps each target's outline from the frame on which it was prompted."""

    name = "registration"
    precision = "float32"

    def __init__(self, settings: RegistrationSettings | None = None) -> None:
        self.settings = settings or RegistrationSettings()

    def start(
        self, frame: np.ndarray, prompt: np.ndarray | Prompt | Sequence[Prompt], num_frames: int | None = None
    ) -> RegistrationSession:
        """Begin a sequence; takes mask prompts only."""
        return RegistrationSession(frame, as_prompts(prompt), self.settings)


@dataclass(eq=False)
class _Reference:
    """A prompted frame, and the flow that leads from the latest frame to it."""

    image: np.ndarray  # (H, W) uint8, padded where small
    flow: np.ndarray | None = None  # (H, W, 2) float32, as the image; (column, row) displacement in px


@dataclass(eq=False)
class _Target:
    reference: _Reference
    distance: np.ndarray  # (H, W) float32, signed distance on the reference


class RegistrationSession:
    """Implements `TrackingSession`. Targets that were prompted on the same frame share one flow."""

    def __init__(self, frame: np.ndarray, prompts: Sequence[Prompt], settings: RegistrationSettings) -> None:
        check_frame(frame)
        self._shape = frame.shape
        self._flow_search = _flow_search(settings)
        self._window = _intensity_window(frame, settings.window_percentiles)
        self._latest = self._to_8bit(frame)
        self._grid = np.stack(np.meshgrid(*(np.arange(n, dtype=np.float32) for n in frame.shape[::-1])), axis=-1)
        self._targets: list[_Target] = []
        self.results: list[StepResult] = []
        for prompt in prompts:
            self.add_target(prompt)

    def step(self, frame: np.ndarray) -> StepResult:
        """Find the flow from `frame` to each reference and warp the outlines along it."""
        check_frame(frame, self._shape)
        self._latest = self._to_8bit(frame)
        references = {id(target.reference): target.reference for target in self._targets}
        for reference in references.values():
            start = None if reference.flow is None else reference.flow.copy()
            reference.flow = self._flow_search.calc(self._latest, reference.image, start)
        self.results = [self._warped(target) for target in self._targets]
        return self.results[0]

    def correct(self, prompt: Prompt, target: int = 0) -> StepResult:
        """Make the latest frame the target's reference."""
        check_target(target, len(self.results))
        self._targets[target], self.results[target] = self._prompted(prompt)
        return self.results[target]

    def add_target(self, prompt: Prompt) -> StepResult:
        """One more target with the latest frame as its reference."""
        target, result = self._prompted(prompt)
        self._targets.append(target)
        self.results.append(result)
        return result

    def copy(self) -> RegistrationSession:
        """A session with the same references and flows."""
        twin = copy(self)
        twins = {id(target.reference): copy(target.reference) for target in self._targets}
        twin._targets = [_Target(twins[id(target.reference)], target.distance) for target in self._targets]
        twin.results = list(self.results)
        return twin

    def _prompted(self, prompt: Prompt) -> tuple[_Target, StepResult]:
        mask = mask_of(prompt, self._shape, RegistrationTracker.name)
        shared = [t.reference for t in self._targets if t.reference.image is self._latest]
        target = _Target(shared[0] if shared else _Reference(self._latest), signed_distance(mask))
        return target, StepResult(mask.copy(), target.distance.copy())

    def _warped(self, target: _Target) -> StepResult:
        where = self._grid + target.reference.flow[: self._shape[0], : self._shape[1]]
        # Outside the reference the nearest edge value holds, so that a target cut by the border stays cut there.
        logits = cv2.remap(target.distance, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return StepResult(logits > 0, logits)

    def _to_8bit(self, frame: np.ndarray) -> np.ndarray:
        low, high = self._window
        values = finite_frame(frame)[0].astype(np.float64)
        image = np.clip((values - low) * (255.0 / (high - low)), 0, 255).astype(np.uint8)
        missing = [max(SMALLEST_SIDE_PX - side, 0) for side in self._shape]
        return np.pad(image, [(0, n) for n in missing], mode="edge") if any(missing) else image


def _intensity_window(frame: np.ndarray, percentiles: tuple[float, float]) -> tuple[float, float]:
    low, high = np.percentile(finite_frame(frame)[0].astype(np.float64), percentiles)
    return (low, high) if high > low else (low, low + 1.0)


def _flow_search(settings: RegistrationSettings) -> cv2.DISOpticalFlow:
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(settings.finest_scale)
    search.setPatchSize(settings.patch_size_px)
    search.setPatchStride(settings.patch_stride_px)
    search.setGradientDescentIterations(settings.gradient_descent_iterations)
    search.setVariationalRefinementIterations(settings.variational_refinement_iterations)
    return search
