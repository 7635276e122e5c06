"""nnU-Net's own predictor on a window of channels: the reference that the refiner is compared with."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor


def stock_predictor(
    folder: Path,
    folds: Sequence[int | str] = (0,),
    tile_step_size: float = 0.5,
    mirroring: bool = True,
    device: torch.device = torch.device("cpu"),
) -> nnUNetPredictor:
    """nnUNetPredictor with a trained-model folder loaded."""
    with contextlib.redirect_stdout(io.StringIO()):
        predictor = nnUNetPredictor(
            tile_step_size=tile_step_size, use_mirroring=mirroring, device=device, allow_tqdm=False
        )
        predictor.initialize_from_trained_model_folder(str(folder), folds)
    return predictor


def stock_labels(predictor: nnUNetPredictor, channels: np.ndarray, spacing_mm=(1.0, 1.0)) -> np.ndarray:
    """(H, W) labels of one (C, H, W) window."""
    return predictor.predict_single_npy_array(channels[:, None], {"spacing": (999, *spacing_mm)})[0]
