"""A SAM2 of 0.6 M parameters at 64 px and small cases, so that a whole training takes seconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from omegaconf import OmegaConf

from cinetrack.sequence import CineSequence
from cinetrack.sequence.image_files import ImageGeometry, write_series
from cinetrack.sequence.trackrad_dataset import write_case

REPOSITORY = Path(__file__).resolve().parents[2]
FRAMES, HEIGHT, WIDTH = 6, 72, 56
SPACING_MM = (1.5, 1.0)
# Two epochs of four clips, validated before and after each.
SHORT_RUN = ("--init", "scratch", "--clip-frames", "3", "--epochs", "2", "--val-every", "1", "--workers", "0")
FAST_RATES = ("--lr", "1e-3", "--image-encoder-lr", "1e-3")
# Nothing is drawn during a step: masks are prompted, on the first frame.
MASK_PROMPTS = (
    *("--set", "trainer.model.prob_to_use_pt_input_for_train=0"),
    *("--set", "trainer.model.num_init_cond_frames_for_train=1"),
)


def write_tiny_config(path: Path, dropout: float = 0.1) -> Path:
    """The shipped tracker's schema with fewer channels and layers."""
    document = OmegaConf.load(REPOSITORY / "resources/training/tracker.yaml")
    model = document.model
    model.image_size = 64
    model.num_maskmem = 3
    model.image_encoder.trunk.embed_dim = 8
    model.image_encoder.neck.position_encoding.num_pos_feats = 32
    model.image_encoder.neck.d_model = 32
    model.image_encoder.neck.backbone_channel_list = [32, 16, 8]
    attention = model.memory_attention
    attention.d_model = attention.layer.d_model = attention.layer.dim_feedforward = 32
    attention.num_layers = 1
    attention.layer.dropout = dropout
    for kind in ("self_attention", "cross_attention"):
        attention.layer[kind].update({"embedding_dim": 32, "feat_sizes": [4, 4], "dropout": dropout})
    attention.layer.cross_attention.kv_in_dim = 16
    encoder = model.memory_encoder
    encoder.out_dim = encoder.position_encoding.num_pos_feats = 16
    encoder.in_dim = encoder.mask_downsampler.embed_dim = encoder.fuser.layer.dim = 32
    encoder.fuser.num_layers = 1
    OmegaConf.save(document, path)
    return path


def disc_case(number: int, frames: int = FRAMES) -> tuple[np.ndarray, np.ndarray]:
    """(T, 72, 56) uint16 of a bright disc that drifts over waves, and its masks; every number another."""
    rng = np.random.default_rng([3, number])
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    waves = 200 + 60 * np.sin(rows / 9 + number) + 40 * np.cos(columns / 7)
    masks = np.stack([np.hypot(rows - 26 - 1.5 * t, columns - 22 - number % 3 - t) < 9 for t in range(frames)])
    series = np.stack([np.where(mask, 500, waves) for mask in masks]) + rng.normal(0, 5, masks.shape)
    return series.clip(0).astype(np.uint16), masks


def write_disc_case(root: Path, patient: str, number: int, frames: int = FRAMES) -> Path:
    """One patient's folder with labels of every frame."""
    series, masks = disc_case(number, frames)
    return write_case(root, patient, CineSequence(series, SPACING_MM, 4.0, 0.35, "abdomen"), masks)


def write_disc_dataset(root: Path, count: int, first: int = 0) -> Path:
    """Patients D_000, D_001, ... ."""
    for number in range(first, first + count):
        write_disc_case(root, f"D_{number:03d}", number)
    return root


def write_objects(path: Path, objects: np.ndarray) -> None:
    """A series of object indices, (T, H, W) uint8."""
    write_series(path, objects.astype(np.uint8), ImageGeometry.in_plane(SPACING_MM))


def finetune(*words: object) -> subprocess.CompletedProcess:
    """The command in a process of its own."""
    command = [sys.executable, "-m", "cinetrack", "finetune", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)


def load(path: Path) -> dict:
    """A checkpoint."""
    return torch.load(path, map_location="cpu", weights_only=True)


def assert_equal_states(found: object, expected: object, where: str = "") -> None:
    """Equal to the last bit: tensors, and whatever holds them."""
    if not isinstance(expected, dict):  # an OrderedDict comes back as a plain one
        assert type(found) is type(expected), where
    if isinstance(expected, torch.Tensor):
        assert torch.equal(found, expected), where
    elif isinstance(expected, dict):
        assert list(found) == list(expected), where
        for key in expected:
            assert_equal_states(found[key], expected[key], f"{where}/{key}")
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected), where
        for index, value in enumerate(expected):
            assert_equal_states(found[index], value, f"{where}/{index}")
    else:
        assert found == expected, where
