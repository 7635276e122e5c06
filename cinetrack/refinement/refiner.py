"""The refiner: a 2D nnU-Net that redraws the tracker's mask from the last frames (second stage of the method).

Streaming like the tracker: one frame and its mask in, one refined mask out, in constant memory. Preprocessing and
export are nnU-Net's own functions (together 3 ms a frame of 270 x 270, 8 ms of 450 x 450); the sliding window between
them is ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cinetrack.errors import InputError
from cinetrack.refinement.confidence import EVEN, changed_where_sure
from cinetrack.refinement.model_folder import NnunetModel, load_model_folder
from cinetrack.refinement.nnunet import PlansManager, convert_predicted_logits_to_segmentation_with_correct_shape
from cinetrack.refinement.reach import within_reach
from cinetrack.refinement.sliding_window import SlidingWindow
from cinetrack.refinement.window import FrameWindow
from cinetrack.sequence.cine_sequence import Spacing
from cinetrack.tracking.finite import all_finite, not_finite

# nnU-Net sees every image as a volume; to a 2D one it gives a slice thickness that no resampling will touch.
SLICE_SPACING = 999.0
# The most that log-odds say; a float32 probability tells no more apart.
CERTAIN = 16.0


class Refiner:
    """A loaded model. Holds no state of a sequence, so any number of sessions may share it."""

    def __init__(
        self,
        model: NnunetModel,
        sliding_window: SlidingWindow,
        window: int,
        reach_px: float | None = None,
        confidence: float = EVEN,
    ) -> None:
        """Use `Refiner.load`."""
        self.window = window
        self.reach_px = reach_px
        self.confidence = confidence
        self.model = model
        self._sliding_window = sliding_window
        self._preprocessor = model.configuration.preprocessor_class(verbose=False)

    @classmethod
    def load(
        cls,
        model_folder: Path,
        *,
        folds: Sequence[int | str] = (0,),
        checkpoint: str = "checkpoint_final.pth",
        window: int = 5,
        tile_step_size: float = 0.05,
        mirroring: bool = True,
        reach_px: float | None = None,
        confidence: float = EVEN,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        tile_batch: int | None = None,
    ) -> Refiner:
        """Load an nnU-Net trained-model folder.

        Args:
            folds: whose predictions are averaged: numbers, or "all".
            window: frames that the model sees; its channels are twice as many.
            tile_step_size: distance of tiles as a fraction of the patch, in (0, 1]. The paper's is 0.05.
            mirroring: average over mirrored copies, along the axes that the checkpoint allows.
            reach_px: how far from the tracker's outline the refined mask may differ from it, to either side, in pixels;
                None for anywhere, as in the paper. Tiles out of reach are left out, which changes nothing within it.
            confidence: how probable a change of the tracker's mask must be, in [0.5, 1); 0.5, as in the paper, for
                the model's own labels.
            dtype: float32, or bfloat16 or float16 for autocast on a GPU.
            tile_batch: patches in one pass of the network; by default 16 on a GPU, 1 on a CPU.
        Raises:
            BundleError: the folder does not hold a 2D model with these folds and 2 * window channels.
            InputError: a setting out of its range.
        """
        if window < 1:
            raise InputError(f"refiner: expected a window of at least one frame, found {window}")
        if not 0 < tile_step_size <= 1:
            raise InputError(f"refiner: expected a tile step size above 0 and at most 1, found {tile_step_size}")
        if reach_px is not None and not 0 <= reach_px < math.inf:
            raise InputError(f"refiner: expected a reach of 0 pixels or more, found {reach_px}")
        if not EVEN <= confidence < 1:
            raise InputError(f"refiner: expected a confidence of at least 0.5 and below 1, found {confidence}")
        model = load_model_folder(model_folder, folds, checkpoint, 2 * window, device)
        step_px = tile_step_size * min(model.configuration.patch_size)
        if step_px < 1:  # there would be no end to the tiles
            raise InputError(
                f"refiner: expected a tile step size of a pixel or more, found {tile_step_size} of {model_folder}'s "
                f"patch {list(model.configuration.patch_size)}"
            )
        sliding_window = SlidingWindow(
            model.networks,
            tuple(model.configuration.patch_size),
            model.mirror_axes if mirroring else (),
            tile_step_size,
            device,
            dtype,
            tile_batch,
        )
        return cls(model, sliding_window, window, reach_px, confidence)

    def start(
        self, frame: np.ndarray, mask: np.ndarray, spacing_mm: Spacing = (1.0, 1.0), keep_first: bool = False
    ) -> RefinerSession:
        """Start a sequence from its first frame and the target outlined on it.

        Args:
            frame: (H, W) raw MR intensity, any real type.
            mask: (H, W) bool, the prompt.
            spacing_mm: (row, column). Ignored by models trained on PNG, which has no spacing.
            keep_first: whether the model sees the first frame at all times, as `FrameWindow`.
        """
        return RefinerSession(self, FrameWindow(self.window, frame, mask, keep_first), spacing_mm)

    def labels(
        self, channels: np.ndarray, spacing_mm: Spacing = (1.0, 1.0), wanted: np.ndarray | None = None
    ) -> np.ndarray:
        """The model's label map of one window, as nnUNetPredictor.predict_single_npy_array gives it.

        Args:
            channels: (2 * window, H, W) float32, as `FrameWindow.channels` orders them.
            spacing_mm: (row, column), as for `start`.
            wanted: (H, W) bool; labels elsewhere mean nothing, which saves the tiles that lie there. None for all.
        Returns:
            (H, W) integers, 0 for background.
        """
        return self._predict(channels, spacing_mm, wanted)[0]

    def probability(
        self, channels: np.ndarray, spacing_mm: Spacing = (1.0, 1.0), wanted: np.ndarray | None = None
    ) -> np.ndarray:
        """How probable the target is, by the model's softmax; of a model of regions, the most probable one's sigmoid.

        Args:
            channels, spacing_mm, wanted: as for `labels`.
        Returns:
            (H, W) float32, 0 to 1.
        """
        _, probabilities = self._predict(channels, spacing_mm, wanted, with_probabilities=True)
        return probabilities.max(axis=0) if self.model.labels.has_regions else 1 - probabilities[0]

    def _predict(
        self, channels: np.ndarray, spacing_mm: Spacing, wanted: np.ndarray | None, with_probabilities: bool = False
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """(H, W) labels, and the (K, H, W) probabilities that they are taken from."""
        model = self.model
        spacing = spacing_mm if model.reads_spacing else (1.0, 1.0)
        properties = {"spacing": (SLICE_SPACING, *spacing)}
        data, _, properties = self._preprocessor.run_case_npy(
            channels[:, None], None, properties, model.plans, model.configuration, model.dataset_json
        )
        wanted = None if wanted is None else _as_preprocessed(wanted, properties, model.plans, data.shape[1:])
        logits = self._sliding_window.logits(torch.from_numpy(data), wanted)
        if not all_finite([logits]):
            raise not_finite("nnU-Net refiner", model.source)
        predicted = convert_predicted_logits_to_segmentation_with_correct_shape(
            logits,
            model.plans,
            model.configuration,
            model.labels,
            properties,
            return_probabilities=with_probabilities,
            num_threads_torch=torch.get_num_threads(),  # it sets torch's threads, by default to 8
        )
        if with_probabilities:
            labels, probabilities = predicted
            return labels[0], probabilities[:, 0]
        return predicted[0], None


class RefinerSession:
    """One sequence being refined, frame by frame. Start one with `Refiner.start`."""

    def __init__(self, refiner: Refiner, window: FrameWindow, spacing_mm: Spacing) -> None:
        self._refiner = refiner
        self._window = window
        self._spacing_mm = spacing_mm

    def step(self, frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Refine the tracker's mask of the next frame.

        Args:
            frame: (H, W) raw MR intensity, of the first frame's shape.
            mask: (H, W) bool, the tracker's mask of this frame, not a refined one; may be empty.
        Returns:
            (H, W) bool; every label but background is the target. `mask` is kept out of reach of its outline, and where
            the refiner's confidence does not suffice.
        Raises:
            InputError: another shape, or a mask that is not bool.
        """
        self._window.append(frame, mask)
        if self._refiner.reach_px is None:
            return self._refined(mask)
        near = within_reach(mask, self._refiner.reach_px)
        return np.where(near, self._refined(mask, near), mask) if near.any() else mask.copy()

    def log_odds(self, frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """How sure the model is of each pixel of the next frame, for those who weigh it themselves.

        Args:
            frame, mask: as for `step`.
        Returns:
            (H, W) float32, the logarithm of the target's odds, within `CERTAIN` of 0; out of reach of `mask`'s outline
            as certain as can be of `mask`. The refiner's confidence does not enter.
        """
        self._window.append(frame, mask)
        reach_px = self._refiner.reach_px
        near = np.ones_like(mask) if reach_px is None else within_reach(mask, reach_px)
        certain = np.where(mask, CERTAIN, -CERTAIN).astype(np.float32)
        if not near.any():
            return certain
        probability = self._refiner.probability(self._window.channels(), self._spacing_mm, near)
        with np.errstate(divide="ignore"):
            odds = np.log(probability) - np.log1p(-probability)
        return np.where(near, np.clip(odds, -CERTAIN, CERTAIN), certain)

    def copy(self) -> RefinerSession:
        """A session in the same state that goes on by itself."""
        return RefinerSession(self._refiner, self._window.copy(), self._spacing_mm)

    def _refined(self, mask: np.ndarray, wanted: np.ndarray | None = None) -> np.ndarray:
        seen = self._window.channels(), self._spacing_mm, wanted
        if self._refiner.confidence == EVEN:
            return self._refiner.labels(*seen) > 0
        return changed_where_sure(mask, self._refiner.probability(*seen), self._refiner.confidence)


def _as_preprocessed(
    wanted: np.ndarray, properties: dict[str, Any], plans: PlansManager, shape_dhw: tuple[int, ...]
) -> torch.Tensor | None:
    """(H, W) bool as nnU-Net's preprocessing turned and cropped the image; None where it resampled it as well."""
    volume = wanted[None].transpose(plans.transpose_forward)
    volume = volume[tuple(slice(*bounds) for bounds in properties["bbox_used_for_cropping"])]
    return torch.from_numpy(volume) if volume.shape == tuple(shape_dhw) else None
