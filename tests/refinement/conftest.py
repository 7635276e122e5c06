"""Trained-model folders that nnU-Net's own code plans and saves, made once a session."""

from __future__ import annotations

from pathlib import Path

import pytest
from nnunet_model_folder import PlannedDataset, plan_dataset, write_model_folder


@pytest.fixture(scope="session")
def planned(tmp_path_factory) -> PlannedDataset:
    """Plans for windows of five frames: plain U-Net, patch 64 x 64."""
    return plan_dataset(tmp_path_factory.mktemp("planned"))


@pytest.fixture(scope="session")
def model_folder(planned, tmp_path_factory) -> Path:
    """Two folds of different weights."""
    return write_model_folder(tmp_path_factory.mktemp("models") / "two_folds", planned, folds=(0, 1))
