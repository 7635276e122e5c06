"""Shared fixtures: small, realistic, non-square with unequal spacing, so that a swapped axis fails."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

# Two test processes with a full set of threads each would fight over the cores.
os.environ.setdefault("OMP_NUM_THREADS", "2")

# A shared machine may stall a single example; hypothesis would call that a failure.
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")

from cinetrack.sequence import CineSequence, TrackingCase  # noqa: E402
from cinetrack.sequence.image_files import ImageGeometry, write_masks, write_series  # noqa: E402
from cinetrack.sequence.trackrad_dataset import write_case  # noqa: E402

FRAMES, HEIGHT, WIDTH = 8, 72, 56


@pytest.fixture(scope="session")
def moving_disc() -> tuple[np.ndarray, np.ndarray]:
    """An (8, 72, 56) uint16 series of a bright textured disc that drifts down and right, and its masks."""
    rng = np.random.default_rng(7)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    background = 200 + 60 * np.sin(rows / 9) + 40 * np.cos(columns / 7) + rng.normal(0, 4, (HEIGHT, WIDTH))
    masks = np.stack([np.hypot(rows - 28 - 1.5 * t, columns - 24 - t) < 9 for t in range(FRAMES)])
    disc = 500 + 80 * np.sin(rows / 2.5) * np.cos(columns / 3)
    frames = np.stack(
        [np.where(mask, np.roll(disc, (int(1.5 * t), t), (0, 1)), background) for t, mask in enumerate(masks)]
    )
    return (frames + rng.normal(0, 5, frames.shape)).clip(0).astype(np.uint16), masks


@pytest.fixture(scope="session")
def tracking_case(moving_disc) -> TrackingCase:
    frames, masks = moving_disc
    return TrackingCase("A_001", CineSequence(frames, (1.5, 1.0), 4.0, 0.35, "abdomen"), masks[0])


@pytest.fixture
def dataset(tmp_path: Path, moving_disc) -> Path:
    """A TrackRAD2025 dataset folder with two labelled patients."""
    frames, masks = moving_disc
    root = tmp_path / "dataset"
    for patient, field in (("A_001", 0.35), ("B_002", 1.5)):
        write_case(root, patient, CineSequence(frames, (1.5, 1.0), 4.0, field, "abdomen"), masks)
    return root


@pytest.fixture
def platform_input(tmp_path: Path, moving_disc) -> Path:
    """A case laid out as the platform's /input, with spacing 1.5 x 1 mm and an origin."""
    frames, masks = moving_disc
    geometry = ImageGeometry((5.0, 1.0, 1.5), (1.0, 2.0, 3.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    folder = tmp_path / "input"
    write_series(folder / "images/mri-linacs/series.mha", frames, geometry)
    write_masks(folder / "images/mri-linac-target/target.mha", masks[:1], geometry)
    for name, value in (("frame-rate", 4), ("b-field-strength", 0.35), ("scanned-region", "abdomen")):
        (folder / f"{name}.json").write_text(json.dumps(value))
    (folder / "inputs.json").write_text("[]")  # newer platform versions add it
    return folder


@pytest.fixture(scope="session")
def paper_bundle(tmp_path_factory) -> Path:
    """The paper's chain, small: SAM2 on frames as they are, then nnU-Net redraws its masks, then holes are filled."""
    from cinetrack.bundle.assembly import create_bundle
    from cinetrack.tracking.postprocessing.nnunet_redraw import NnunetRedrawSettings

    training = Path(__file__).resolve().parents[1] / "resources/training"
    redraw = NnunetRedrawSettings(folds=("all",), tile_step_size=0.5, mirroring=False)
    folder = tmp_path_factory.mktemp("bundles") / "paper"
    return create_bundle(
        folder, str(training / "sam2-mini"), refiner_folder=training / "refiner", refiner=redraw
    ).folder
