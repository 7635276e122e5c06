"""A small dataset of drifting discs, and the commands on it at the size of a test."""

from __future__ import annotations

import contextlib
import multiprocessing.dummy
import multiprocessing.pool  # noqa: F401
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import numpy as np

from cinetrack.cli.main import main
from cinetrack.sequence import CineSequence
from cinetrack.sequence.trackrad_dataset import write_case

RESOURCES = Path(__file__).resolve().parents[2] / "resources"
FRAMES, SHAPE = 7, (72, 56)
# Two field strengths, two regions; the last patient has two series, of which the first is labelled.
PATIENTS = {
    "A_001": (0.35, "abdomen"),
    "A_002": (0.35, "thorax"),
    "B_003": (1.5, "abdomen"),
    "B_004": (1.5, "thorax"),
    "C_005": (0.35, "abdomen"),
    "C_006": (1.5, "thorax"),
}


def disc_case(seed: int, frames: int = FRAMES, shape: tuple[int, int] = SHAPE) -> tuple[np.ndarray, np.ndarray]:
    """(T, H, W) frames of a drifting disc in a black border, and its masks; float and uint16 in turns."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    masks = np.stack([np.hypot(rows - 30 - 1.5 * t, columns - 22 - t) < 7 + seed for t in range(frames)])
    images = 200 + 50 * np.sin(rows / 9 + seed) + 300 * masks + rng.normal(0, 15, masks.shape)
    images[:, :, :4] = images[:, -3:] = images.min()  # nnU-Net crops what is black in every channel
    return (images.astype(np.float32) if seed % 2 else images.clip(0).astype(np.uint16)), masks


@contextlib.contextmanager
def pools_of_threads() -> Iterator[None]:
    """Threads where nnU-Net and our preprocessing spawn processes, which take seconds to import it.

    multiprocessing.pool keeps the get_context that it finds: it is imported above, before there is another.
    """
    threads = mock.patch(
        "cinetrack.refiner_training.preprocessing.process_pool",
        lambda workers, *initialise: ThreadPoolExecutor(workers, "", *initialise),
    )
    with threads, mock.patch("multiprocessing.get_context", return_value=multiprocessing.dummy):
        yield


def plan(raw: Path, *options: str) -> None:
    """`cinetrack refiner plan` with a tiny network."""
    size = ["--small", "--features", "4", "8", "8", "--patch-size", "32", "--batch-size", "2"]
    with pools_of_threads():
        assert main(["refiner", "plan", str(raw), *size, "--workers", "1", *options]) == 0


def train(raw: Path, *options: str) -> None:
    """`cinetrack refiner train` for a few batches on the CPU."""
    length = ["--epochs", "2", "--iterations", "2", "--validation-iterations", "1", "--workers", "0"]
    assert main(["refiner", "train", str(raw), "--device", "cpu", *length, *options]) == 0


def write_discs(root: Path) -> Path:
    """Write the patients as a labelled dataset; returns `root`."""
    for seed, (patient, (field, region)) in enumerate(PATIENTS.items()):
        frames, masks = disc_case(seed)
        write_case(root, patient, CineSequence(frames, (1.5, 1.0), 4.0, field, region), masks)
    return root
