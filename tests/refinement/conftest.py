"""Trained-model folders that nnU-Net's own code plans and saves, made once a session."""

from __future__ import annotations

import copy
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


@pytest.fixture(scope="session")
def mha_model(planned, tmp_path_factory) -> Path:
    """A model trained on a format with pixel spacing, with its image axes swapped by the planner."""
    plans = copy.deepcopy(planned.plans)
    plans |= {"image_reader_writer": "SimpleITKIO", "transpose_forward": [0, 2, 1], "transpose_backward": [0, 2, 1]}
    swapped = PlannedDataset(planned.root, plans, planned.dataset_json)
    folder = tmp_path_factory.mktemp("models") / "mha"
    return write_model_folder(folder, swapped.with_configuration(patch_size=[64, 48], spacing=[1.0, 1.25]))
