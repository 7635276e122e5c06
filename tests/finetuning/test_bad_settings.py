"""Starts and settings that cannot be are refused in one line, with exit code 2, before any training."""

from __future__ import annotations

import json

import pytest
import torch
from tiny import REPOSITORY, write_tiny_config

from cinetrack.cli.main import parse
from cinetrack.errors import InputError
from cinetrack.finetuning.phantom_settings import phantom_source
from cinetrack.finetuning.recipe import PhantomSource, Recipe
from cinetrack.finetuning.starting_point import starting_point
from cinetrack.phantom.clips import ClipConfig


def test_a_start_that_is_missing(refused, discs, tmp_path):
    line = refused(data=discs, init=tmp_path / "no.pt")
    assert 'no.pt: expected a SAM2 checkpoint, a bundle\'s folder or "scratch", found none' in line


def test_a_bundle_without_sam2(refused, discs):
    line = refused(data=discs, init=REPOSITORY / "resources/registration", config=None)
    assert "registration: expected a bundle with a SAM2 tracker, found registration" in line


def test_a_folder_that_is_no_bundle(refused, discs):
    assert "bundle.json" in refused(data=discs, init=discs)


def test_a_checkpoint_of_another_architecture_names_tensors_and_shapes(refused, discs, tmp_path):
    other = write_tiny_config(tmp_path / "other.yaml")
    other.write_text(other.read_text().replace("num_maskmem: 3", "num_maskmem: 5"))
    torch.save({"model": starting_point("scratch", str(other), 1).weights}, tmp_path / "other.pt")
    line = refused(data=discs, init=tmp_path / "other.pt")
    assert "other.pt: expected weights of the configured SAM2" in line
    assert "maskmem_tpos_enc (5, 1, 1, 16) instead of (3, 1, 1, 16)" in line
    line = refused(data=discs, init=tmp_path / "other.pt", config="tiny")
    assert "without" in line and "more" in line and "maskmem_tpos_enc (5, 1, 1, 16) instead of (7, 1, 1, 64)" in line


def test_a_checkpoint_without_weights(refused, discs, tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "other.pt")
    line = refused(data=discs, init=tmp_path / "other.pt")
    assert 'other.pt: expected weights under the key "model", found state_dict' in line
    (tmp_path / "text.pt").write_text("no checkpoint")
    assert "text.pt: expected a PyTorch checkpoint" in refused(data=discs, init=tmp_path / "text.pt")


def test_a_checkpoint_whose_name_says_nothing_of_its_architecture(refused, discs, tmp_path):
    torch.save({"model": {}}, tmp_path / "mine.pt")
    line = refused(data=discs, init=tmp_path / "mine.pt", config=None)
    assert "mine.pt: expected --config with a checkpoint of this name" in line


def test_scratch_without_an_architecture(refused, discs):
    assert "--config: expected an architecture to train from scratch" in refused(data=discs, config=None)


@pytest.mark.parametrize("name", ["medium", "no.yaml"])
def test_an_architecture_that_is_unknown(name, refused, discs):
    assert f"{name}: expected one of tiny, small, base+, large, or a yaml" in refused(data=discs, config=name)


@pytest.mark.parametrize("text", ["model: [", "other: 1", "model: {_target_: os.system}", "model: 3", "", "a: {{"])
def test_a_yaml_that_is_no_architecture(text, refused, discs, tmp_path):
    (tmp_path / "odd.yaml").write_text(text)
    assert "odd.yaml: expected" in refused(data=discs, config=tmp_path / "odd.yaml")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--set", "scratch.no_such_key=1"), "--set scratch.no_such_key=1: expected a key"),
        (("--set", "scratch.resolution=128"), "expected the pictures' size to be set with --image-size"),
        (("--set", "trainer.model.image_size=128"), "expected the pictures' size to be set with --image-size"),
        (("--image-size", "80"), "image size: expected a multiple of 32 for this network, found 80"),
        (("--inference-size", "112"), "image size: expected a multiple of 32 for this network, found 112"),
        (("--region", "96", "64"), "region_px: expected two sides in ascending order, found (96, 64)"),
        (("--region", "96"), "region_px: expected two sides in ascending order, found (96,)"),
        (("--val-share", "1"), "validation share: expected"),
        (("--phantom-config", "x.json"), "expected --phantom-clips with it"),
        (("--device", "cuda"), "--device cuda: expected a CUDA device, found none"),
    ],
)
def test_a_setting_that_cannot_be(words, message, refused, discs, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert message in refused(*words, data=discs)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--image-size", "32"), "argument --image-size: expected a whole number, 64 or more (px), found 32"),
        (
            ("--inference-region", "20"),
            "argument --inference-region: expected a whole number, 64 or more (px), found 20",
        ),
        (("--region", "20", "80"), "argument --region: expected a whole number, 64 or more (px), found 20"),
        (("--epochs", "0"), "argument --epochs: expected a whole number, 1 or more, found 0"),
        (("--lr", "nan"), "argument --lr: expected a number, above 0, found nan"),
        (("--precision", "int8"), "argument --precision: expected one of auto, float32, bfloat16, float16, found int8"),
    ],
)
def test_an_option_out_of_its_range(words, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        parse(["finetune", "--init", "scratch", "-o", "run", *words])
    assert stopped.value.code == 2 and message in capsys.readouterr().err


@pytest.mark.parametrize(
    "settings",
    [
        {"epochs": 0},
        {"max_objects": 0},
        {"batch_clips": -1},
        {"accumulate": 0},
        {"multiplier": 0},
        {"validate_every": 0},
        {"clip_frames": 0},
        {"workers": -1},
        {"image_encoder_lr": -1e-6},
        {"other_lr": 0.0},
        {"other_lr": float("nan")},
        {"layer_decay": -0.5},
        {"final_lr_share": 1.5},
        {"warmup_share": 1.0},
        {"precision": "int8"},
        {"image_size_px": 63},
        {"inference_size_px": 0},
        {"region_px": (96, 64)},
        {"region_px": (63, 64)},
        {"seed": -1},
    ],
)
def test_a_recipe_holds_its_settings_to_their_range(settings):
    with pytest.raises(InputError, match="expected .*, found"):
        Recipe(**settings)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ([1], "expected an object with some of"),
        ({"size": [130, 140]}, "expected an object with some of"),
        ({"displacement_px": 5}, "displacement_px: expected tuple[float, float], found 5"),
        ({"displacement_px": [1, 2, 3]}, "displacement_px: expected"),
        ({"displacement_px": ["a", 2]}, "displacement_px: expected"),
        ({"displacement_px": [5, 2]}, "clip displacement: expected a range"),
        ({"still_share": "0.1"}, 'still_share: expected float, found "0.1"'),
        ({"still_share": True}, "still_share: expected float"),
        ({"still_share": float("nan")}, "still_share: expected float"),
        ({"still_share": 2}, "clips: expected a share"),
        ({"structures": 1.5}, "structures: expected int"),
        ({"structures": 0}, "clips: expected a share and one structure or more"),
        ({"visible_on_all_frames": 1}, "visible_on_all_frames: expected bool"),
        ({"region": 3}, "region: expected str | None"),
        ({"region": "leg"}, "phantom region: expected one of"),
        ({"difficulty": "extreme"}, "phantom difficulty: expected one of"),
        ({"field_strength_t": 3.0}, "phantom field strength: expected one of"),
        ({"randomised_share": 1.2}, "phantom randomised share: expected 0 to 1"),
        ({"size_px": 256}, "size_px: expected tuple[int, int], found 256"),
        ({"size_px": [256.0, 256]}, "size_px: expected"),
        ({"size_px": [100, 256]}, "expected a range of sizes within 125 to 400 px"),
        ({"size_px": [256, 130]}, "expected a range of sizes within 125 to 400 px"),
    ],
)
def test_nonsense_for_the_phantom_names_the_setting(settings, named, tmp_path):
    path = tmp_path / "clips.json"
    path.write_text(json.dumps(settings))
    with pytest.raises(InputError) as error:
        phantom_source(1, path)
    assert str(error.value).startswith(str(path)) and named in str(error.value)


def test_the_phantoms_file_must_be_json_and_its_clips_a_number(refused, tmp_path):
    (tmp_path / "clips.json").write_text("{")
    assert "clips.json: expected json" in refused("--phantom-clips", "1", "--phantom-config", tmp_path / "clips.json")
    assert "phantom clips: expected 1 or more" in refused("--phantom-clips", "-3")


def test_the_shipped_settings_of_the_phantom_are_understood():
    source = phantom_source(7, REPOSITORY / "resources/training/clips.json")
    settings = json.loads((REPOSITORY / "resources/training/clips.json").read_text())
    assert source.clips == 7 and list(source.size_px) == settings.pop("size_px")
    for key, value in settings.items():
        assert getattr(source.config, key) == (tuple(value) if isinstance(value, list) else value)
    assert phantom_source(2, None) == PhantomSource(2, (256, 256), ClipConfig()) and phantom_source(0, None) is None
