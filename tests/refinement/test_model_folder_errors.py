"""A model folder that cannot be used says which file is wrong, what was expected and what was found."""

from __future__ import annotations

import json
import os
import shutil

import pytest
import torch

from cinetrack.errors import BundleError, InputError
from cinetrack.refinement.refiner import Refiner

CPU = torch.device("cpu")


@pytest.fixture
def folder(model_folder, tmp_path):
    return shutil.copytree(model_folder, tmp_path / "model")


def edit_json(path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def edit_architecture(folder, **changes) -> None:
    def change(plans):
        architecture = plans["configurations"]["2d"]["architecture"]
        architecture.update({k: v for k, v in changes.items() if k in architecture})
        architecture["arch_kwargs"].update({k: v for k, v in changes.items() if k not in architecture})

    edit_json(folder / "plans.json", change)


@pytest.mark.parametrize("name", ["plans.json", "dataset.json", "fold_0/checkpoint_final.pth"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(BundleError, match=rf"model/{name}: expected .* found no"):
        Refiner.load(folder, device=CPU)


@pytest.mark.parametrize("settings", [{"folds": (3,)}, {"checkpoint": "checkpoint_best.pth"}])
def test_a_missing_fold_or_checkpoint_is_named(folder, settings):
    wanted = f"fold_{settings.get('folds', (0,))[0]}/{settings.get('checkpoint', 'checkpoint_final.pth')}"
    with pytest.raises(BundleError, match=rf"model/{wanted}: expected a PyTorch checkpoint, found no such file"):
        Refiner.load(folder, device=CPU, **settings)


def test_no_folds_at_all_are_refused(folder):
    with pytest.raises(BundleError, match="expected at least one fold"):
        Refiner.load(folder, folds=(), device=CPU)


@pytest.mark.parametrize("name", ["plans.json", "dataset.json"])
@pytest.mark.parametrize("text", ["", "[1, 2]", "{}", '{"configurations": 3, "labels": 4, "channel_names": 5}'])
def test_json_that_nnunet_did_not_write_is_named(folder, name, text):
    (folder / name).write_text(text)
    with pytest.raises(BundleError, match=rf"model/{name}: expected"):
        Refiner.load(folder, device=CPU)


def test_another_number_of_channels_is_reported(folder):
    with pytest.raises(BundleError, match=r"dataset\.json: expected 20 channels, .* each of 10 frames, found 10"):
        Refiner.load(folder, window=10, device=CPU)


@pytest.mark.parametrize(("setting", "value"), [("window", 0), ("tile_step_size", 0.0), ("tile_step_size", 1.5)])
def test_settings_out_of_range_are_refused(folder, setting, value):
    with pytest.raises(InputError, match=rf"refiner: expected .* found {value}"):
        Refiner.load(folder, device=CPU, **{setting: value})


def test_a_volume_model_is_refused(folder):
    edit_json(folder / "plans.json", lambda plans: plans["configurations"]["2d"].update(patch_size=[16, 64, 64]))
    with pytest.raises(BundleError, match=r"plans\.json: expected a 2D configuration, found '2d' .*\[16, 64, 64\]"):
        Refiner.load(folder, device=CPU)


def test_the_second_stage_of_a_cascade_is_refused(folder):
    edit_json(folder / "plans.json", lambda plans: plans["configurations"]["2d"].update(previous_stage="2d_lowres"))
    with pytest.raises(BundleError, match=r"plans\.json: expected a model of one stage, .* '2d_lowres'"):
        Refiner.load(folder, device=CPU)


def test_a_configuration_missing_from_the_plans_is_named(folder):
    edit_json(folder / "plans.json", lambda plans: plans["configurations"].pop("2d"))
    with pytest.raises(BundleError, match=r"plans\.json: .*configuration 2d"):
        Refiner.load(folder, device=CPU)


def test_weights_of_another_network_are_refused(folder):
    edit_architecture(folder, features_per_stage=[4, 8, 16, 32, 64])
    with pytest.raises(BundleError, match=r"checkpoint_final\.pth: expected the weights of the planned network"):
        Refiner.load(folder, device=CPU)


def test_a_checkpoint_without_nnunets_entries_is_refused(folder):
    torch.save({"model": {}}, folder / "fold_0" / "checkpoint_final.pth")
    with pytest.raises(BundleError, match=r"checkpoint_final\.pth: .*'network_weights', found \['model'\]"):
        Refiner.load(folder, device=CPU)


def test_mirroring_along_an_axis_that_an_image_does_not_have_is_refused(folder):
    path = folder / "fold_0" / "checkpoint_final.pth"
    content = torch.load(path, weights_only=False)
    torch.save(content | {"inference_allowed_mirroring_axes": (0, 1, 2)}, path)
    with pytest.raises(BundleError, match=r"checkpoint_final\.pth: expected mirroring along .* found \(0, 1, 2\)"):
        Refiner.load(folder, device=CPU)


def test_arguments_that_the_network_does_not_take_are_reported(folder):
    edit_architecture(folder, n_stages="five")
    with pytest.raises(BundleError, match=r"plans\.json: expected"):
        Refiner.load(folder, device=CPU)


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "torch.hub.load",
        "dynamic_network_architectures.architectures.unet.torch.hub.load",
        "dynamic_network_architectures.architectures.unet.np.load",
        "dynamic_network_architectures.no.such.Network",
        "torch.nn.Identity",
        7,
    ],
)
def test_a_network_that_is_not_of_nnunets_architectures_is_not_built(folder, name):
    edit_architecture(folder, network_class_name=name)
    with pytest.raises(BundleError, match=r"plans\.json: expected a network .*dynamic_network_architectures"):
        Refiner.load(folder, device=CPU)


@pytest.mark.parametrize("name", ["os.system", "torch.nn.modules.warnings.os.system", "torch.nn.functional.relu"])
def test_a_layer_that_is_no_layer_is_not_called(folder, name, monkeypatch):
    monkeypatch.setattr(os, "system", lambda *a: pytest.fail("the plans' function was called"))
    edit_architecture(folder, nonlin=name)
    with pytest.raises(BundleError, match=rf"plans\.json: expected .* found '{name}'"):
        Refiner.load(folder, device=CPU)


def test_a_network_class_that_has_moved_is_found_by_its_name(folder):
    edit_architecture(folder, network_class_name="dynamic_network_architectures.architectures.moved.PlainConvUNet")
    assert Refiner.load(folder, device=CPU).window == 5
