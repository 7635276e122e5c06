"""Bundles are found by folder and by name."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from cinetrack.bundle.lookup import SHIPPED_FOLDER, bundle_folder, bundled, find_bundle, shipped_names
from cinetrack.cli.main import main
from cinetrack.errors import BundleError
from cinetrack.refiner_training.mask_sources import mask_sources


@pytest.mark.parametrize("name", ["default", "registration", "static"])
def test_a_shipped_bundle_is_found_by_its_name_from_any_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_bundle(name).folder == bundled(name) == SHIPPED_FOLDER / name
    assert find_bundle(Path(name)).folder == bundled(name)  # as the command line gives it


def test_the_names_are_those_of_the_folders_with_a_manifest():
    assert shipped_names() == ["default", "registration", "static"]


def test_a_folder_with_a_bundle_comes_before_a_shipped_one_of_the_same_name(tmp_path, monkeypatch):
    shutil.copytree(bundled("static"), tmp_path / "registration")
    monkeypatch.chdir(tmp_path)
    assert find_bundle("registration").method.name == "static"


def test_a_folder_without_a_bundle_does_not_hide_a_shipped_one(tmp_path, monkeypatch):
    (tmp_path / "registration").mkdir()  # as `predict -o registration` leaves it
    monkeypatch.chdir(tmp_path)
    assert find_bundle("registration").method.name == "registration"


@pytest.mark.parametrize("name", ["registraton", "Default", ".."])
def test_an_unknown_name_is_answered_with_the_known_ones(name):
    with pytest.raises(BundleError, match=f"^{name}: expected one of .*default, registration, static, found"):
        bundled(name)


def test_what_is_neither_a_folder_nor_a_name_is_answered_with_both(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundleError, match="^my-bundel: expected a model bundle's folder or one of default, "):
        bundle_folder("my-bundel")


def test_a_missing_folder_is_named_as_a_folder(tmp_path):
    missing = tmp_path / "models" / "mine"
    with pytest.raises(BundleError, match=f"{os.fspath(missing)}/bundle.json: expected a model bundle's manifest"):
        find_bundle(missing)


@pytest.mark.parametrize(
    "words",
    [
        "bundle check static",
        "bundle create --tracker default -o made",
        "average default default -o mean.pt",
    ],
)
def test_commands_that_take_a_bundle_take_a_shipped_name(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words.split()) == 0


def test_a_refiner_is_prepared_with_a_shipped_models_masks():
    registration, default = mask_sources([Path("registration"), Path("default")], [], 5)
    assert registration.bundles[0].folder == bundled("registration")
    assert default.bundles[0].folder == bundled("default")
