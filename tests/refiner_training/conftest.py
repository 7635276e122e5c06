"""A small labelled dataset, prepared, planned and trained for a moment by nnU-Net's own code; made once a session."""

from __future__ import annotations

from pathlib import Path

import pytest
from disc_dataset import RESOURCES, plan, train, write_discs

from cinetrack.cli.main import main
from cinetrack.refiner_training.dataset_folders import DatasetFolders, dataset_folders


@pytest.fixture(scope="session")
def discs(tmp_path_factory) -> Path:
    """Six labelled patients."""
    return write_discs(tmp_path_factory.mktemp("discs") / "dataset")


@pytest.fixture(scope="session")
def prepared(discs, tmp_path_factory) -> DatasetFolders:
    """The dataset with the masks of two trackers, every second frame a sample."""
    raw = tmp_path_factory.mktemp("prepared") / "nnUNet_raw"
    trackers = ["--tracker", str(RESOURCES / "registration"), "--tracker", str(RESOURCES / "static")]
    assert main(["refiner", "prepare", "--data", str(discs), *trackers, "--every", "2", "-o", str(raw)]) == 0
    return dataset_folders(raw)


@pytest.fixture(scope="session")
def planned(prepared) -> DatasetFolders:
    """The same, planned and preprocessed."""
    plan(prepared.raw_root)
    return prepared


@pytest.fixture(scope="session")
def trained(planned) -> DatasetFolders:
    """The same, folds 0 and 1 trained for a moment."""
    train(planned.raw_root, "--folds", "0")
    train(planned.raw_root, "--folds", "1")
    return planned


@pytest.fixture(scope="session")
def bundle(trained, tmp_path_factory) -> Path:
    """Registration with both folds."""
    folder = tmp_path_factory.mktemp("bundles") / "refined"
    options = ["--tracker", str(RESOURCES / "registration"), "--folds", "0", "1", "--tile-step-size", "0.25"]
    assert main(["refiner", "bundle", str(trained.raw_root), *options, "-o", str(folder)]) == 0
    return folder
