"""The refiner: a 2D nnU-Net that redraws a target's mask from the last frames and their masks.

Streaming like the tracker: one frame and its mask in, one refined mask out, in constant memory. Preprocessing and
export are nnU-Net's own functions (together 3 ms a frame of 270 x 270, 8 ms of 450 x 450); the sliding window between
them is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from cinetrack.errors import InputError
from cinetrack.refinement.model_folder import NnunetModel, load_model_folder
from cinetrack.refinement.nnunet import convert_predicted_logits_to_segmentation_with_correct_shape
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
        precision: str,
    ) -> None:
        """Use `Refiner.load`."""
        self.window = window
        self.precision = precision
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
        return cls(model, sliding_window, window, str(dtype).removeprefix("torch."))

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

    def labels(self, channels: np.ndarray, spacing_mm: Spacing = (1.0, 1.0)) -> np.ndarray:
        """The model's label map of one window, as nnUNetPredictor.predict_single_npy_array gives it.

        Args:
            channels: (2 * window, H, W) float32, as `FrameWindow.channels` orders them.
            spacing_mm: (row, column), as for `start`.
        Returns:
            (H, W) integers, 0 for background.
        """
        return self._predict(channels, spacing_mm)[0]

    def probability(self, channels: np.ndarray, spacing_mm: Spacing = (1.0, 1.0)) -> np.ndarray:
        """How probable the target is, by the model's softmax; of a model of regions, the most probable one's sigmoid.

        Args:
            channels, spacing_mm: as for `labels`.
        Returns:
            (H, W) float32, 0 to 1.
        """
        _, probabilities = self._predict(channels, spacing_mm, with_probabilities=True)
        assert probabilities is not None
        return probabilities.max(axis=0) if self.model.labels.has_regions else 1 - probabilities[0]

    def _predict(
        self, channels: np.ndarray, spacing_mm: Spacing, with_probabilities: bool = False
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """(H, W) labels, and the (K, H, W) probabilities that they are taken from."""
        model = self.model
        spacing = spacing_mm if model.reads_spacing else (1.0, 1.0)
        properties = {"spacing": (SLICE_SPACING, *spacing)}
        data, _, properties = self._preprocessor.run_case_npy(
            channels[:, None], None, properties, model.plans, model.configuration, model.dataset_json
        )
        logits = self._sliding_window.logits(torch.from_numpy(data))
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
            (H, W) bool; every label but background is the target.
        Raises:
            InputError: another shape, or a mask that is not bool.
        """
        self._window.append(frame, mask)
        return self._refiner.labels(self._window.channels(), self._spacing_mm) > 0

    def log_odds(self, frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """How sure the model is of each pixel of the next frame, for those who weigh it beside others.

        Args:
            frame, mask: as for `step`.
        Returns:
            (H, W) float32, the logarithm of the target's odds, within `CERTAIN` of 0.
        """
        self._window.append(frame, mask)
        probability = self._refiner.probability(self._window.channels(), self._spacing_mm)
        with np.errstate(divide="ignore"):
            odds = np.log(probability) - np.log1p(-probability)
        return np.clip(odds, -CERTAIN, CERTAIN)

    def copy(self) -> RefinerSession:
        """A session in the same state that goes on by itself."""
        return RefinerSession(self._refiner, self._window.copy(), self._spacing_mm)
