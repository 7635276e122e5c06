"""Stock sam2's video predictor, run as its documentation says: over a folder of frames."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from PIL import Image
from sam2.build_sam import build_sam2_video_predictor


def stock_from_yaml(config: Path, checkpoint: Path, **options):
    """The predictor for a yaml of the bundle, exactly as the yaml says."""
    model = OmegaConf.load(config).model
    model._target_ = "sam2.sam2_video_predictor.SAM2VideoPredictor"
    predictor = instantiate(OmegaConf.merge(model, options), _recursive_=True)
    predictor.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=True)["model"])
    return predictor.eval()


def stock_published(config: str, checkpoint: Path):
    """The predictor for one of sam2's own configurations, with its default post-processing."""
    return build_sam2_video_predictor(f"configs/sam2.1/{config}", str(checkpoint), device="cpu")


def write_frames(folder: Path, frames_8bit: np.ndarray) -> Path:
    """Frames under the names that sam2 looks for, but lossless: PIL reads a PNG whatever it is called."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, frame in enumerate(frames_8bit):
        with (folder / f"{index:05d}.jpg").open("wb") as file:
            Image.fromarray(frame).save(file, format="PNG")
    return folder


def stock_state(predictor, folder: Path):
    with contextlib.redirect_stderr(io.StringIO()):  # tqdm
        return predictor.init_state(str(folder))


def stock_propagate(predictor, state, start: int | None = None, limit: int | None = None) -> dict[int, np.ndarray]:
    """{frame: (targets, H, W) logits}."""
    with contextlib.redirect_stderr(io.StringIO()):
        return {
            index: logits[:, 0].float().numpy()
            for index, _, logits in predictor.propagate_in_video(state, start, limit)
        }
