"""A bundle that passes its check has tracked frames: whatever fails there is refused, with the file at fault."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from cinetrack.bundle.assembly import check_bundle, create_bundle
from cinetrack.bundle.checksum import sha256_of
from cinetrack.bundle.manifest import manifest_of
from cinetrack.bundle.safe_weights import load_weights
from cinetrack.bundle.trial_run import trial_case
from cinetrack.cli.main import main
from cinetrack.errors import BundleError
from cinetrack.tracking.evidence.nnunet import NnunetSourceSettings
from cinetrack.tracking.postprocessing.nnunet_redraw import NnunetRedrawSettings

RESOURCES = Path(__file__).resolve().parents[2] / "resources"
MINI = RESOURCES / "training" / "sam2-mini"
REDRAW = NnunetRedrawSettings("refiner", folds=("all",), tile_step_size=0.5, mirroring=False)


@pytest.fixture
def nnunet(tmp_path) -> Path:
    """A copy of the shipped refiner, as a trained-model folder."""
    return Path(shutil.copytree(RESOURCES / "training" / "refiner", tmp_path / "nnunet"))


def edit(path: Path, change: Callable[[dict], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def configuration(plans: dict) -> dict:
    return plans["configurations"]["2d"]


def architecture(plans: dict) -> dict:
    return configuration(plans)["architecture"]["arch_kwargs"]


def refused(nnunet: Path, tmp_path: Path, spec: NnunetRedrawSettings = REDRAW) -> str:
    """The error of making a bundle of a refiner."""
    with pytest.raises(BundleError) as error:
        create_bundle(tmp_path / "new", "static", refiner_folder=nnunet, refiner=spec)
    assert not (tmp_path / "new").exists()
    return str(error.value)


SCHEMES = ["ZScoreNormalization", "NoNormalization"] * 5
HUGE = [100_000, 100_000]
PLANS = {
    "another lab's class": (lambda p: configuration(p).update(normalization_schemes=["MyLabNorm"] * 10), "'MyLabNorm'"),
    "too few schemes": (
        lambda p: configuration(p).update(normalization_schemes=SCHEMES[:9]),
        "10 normalization_schemes, one a channel, found 9",
    ),
    "no schemes": (lambda p: configuration(p).pop("normalization_schemes"), "normalization_schemes"),
    "too few masks": (lambda p: configuration(p).update(use_mask_for_norm=[False]), "10 use_mask_for_norm"),
    "a mask of text": (lambda p: configuration(p).update(use_mask_for_norm=["no"] * 10), "true or false, found 'no'"),
    "no statistics": (lambda p: p.pop("foreground_intensity_properties_per_channel"), "foreground_intensity"),
    "a channel without": (
        lambda p: p["foreground_intensity_properties_per_channel"].pop("7"),
        "intensity statistics of channel 7, found none",
    ),
    "statistics without mean": (
        lambda p: (
            configuration(p).update(normalization_schemes=["CTNormalization"] * 10),
            p["foreground_intensity_properties_per_channel"]["2"].pop("mean"),
        ),
        "statistics of channel 2, which CTNormalization needs, found no mean",
    ),
    "another preprocessor": (lambda p: configuration(p).update(preprocessor_name="LabPreprocessor"), "preprocessor"),
    "a function as preprocessor": (lambda p: configuration(p).update(preprocessor_name="load_json"), "'load_json'"),
    "another resampling": (lambda p: configuration(p).update(resampling_fn_data="lab_resampling"), "'lab_resampling'"),
    "what resampling imports": (lambda p: configuration(p).update(resampling_fn_data="map_coordinates"), "function of"),
    "another label manager": (lambda p: p.update(label_manager="LabLabels"), "label_manager.*LabLabels|LabLabels"),
    "unknown options": (lambda p: configuration(p)["resampling_fn_data_kwargs"].update(is_fast=True), "is_fast"),
    "unknown options of export": (
        lambda p: configuration(p)["resampling_fn_probabilities_kwargs"].update(is_fast=True),
        "is_fast",
    ),
    "a huge patch": (lambda p: configuration(p).update(patch_size=HUGE), "patch_size of 1 to 1024 px"),
    "a large patch": (lambda p: configuration(p).update(patch_size=[1024, 1024]), "at most 50 MB each"),
    "a patch of none": (lambda p: configuration(p).update(patch_size=[0, 96]), "patch_size of 1 to 1024 px"),
    "an odd patch": (lambda p: configuration(p).update(patch_size=[97, 95]), "patch_size that the network's stages"),
    "a patch of text": (lambda p: configuration(p).update(patch_size=["96", "96"]), "patch_size of 1 to 1024 px"),
    "a fine spacing": (lambda p: configuration(p).update(spacing=[1e-4, 1e-4]), "spacing of two numbers from 0.1"),
    "no spacing": (lambda p: configuration(p).update(spacing=[0, 0]), "spacing of two numbers"),
    "axes that do not come back": (lambda p: p.update(transpose_backward=[0, 2, 1]), "transpose_forward"),
    "axes of slices": (lambda p: p.update(transpose_forward=[1, 0, 2], transpose_backward=[1, 0, 2]), "transpose"),
    "many stages": (lambda p: architecture(p).update(n_stages=10**9), "arch_kwargs.n_stages: expected a number up to"),
    "wide stages": (lambda p: architecture(p).update(features_per_stage=[9000] * 5), "a network of at most"),
    "deep stages": (lambda p: architecture(p).update(n_conv_per_stage=[10_000] * 5), "a network of at most"),
    "a list without end": (lambda p: architecture(p).update(strides=[[2, 2]] * 100_000), "at most 256 entries"),
    "a long number": (lambda p: configuration(p).update(batch_size=10**4000), "whole number of 4001 digits"),
    "itself as parent": (lambda p: configuration(p).update(inherits_from="2d"), "found one it cannot use"),
}


@pytest.mark.parametrize("kind", PLANS)
def test_plans_that_nnunet_cannot_follow_are_refused_by_name(kind, nnunet, tmp_path):
    change, message = PLANS[kind]
    edit(nnunet / "plans.json", change)
    error = refused(nnunet, tmp_path)
    assert error.startswith(f"{nnunet / 'plans.json'}: ") and "\n" not in error
    assert any(part in error for part in message.split("|"))


def test_a_number_of_more_digits_than_python_reads_is_refused(nnunet, tmp_path):
    text = (nnunet / "plans.json").read_text()
    (nnunet / "plans.json").write_text(text.replace('"batch_size": 8', '"batch_size": ' + "9" * 100_000))
    assert refused(nnunet, tmp_path).startswith(f"{nnunet / 'plans.json'}: expected json")


@pytest.mark.parametrize("change", [lambda d: d.update(labels={}), lambda d: d.update(labels={"lesion": 1})])
def test_labels_that_nnunet_does_not_take_are_refused(change, nnunet, tmp_path):
    edit(nnunet / "dataset.json", change)
    assert str(nnunet) in refused(nnunet, tmp_path)


def test_each_of_two_nnunets_is_tried(nnunet, tmp_path):
    whole = create_bundle(tmp_path / "whole", "registration", refiner_folder=nnunet, refiner=REDRAW)
    shutil.copytree(whole.folder / "refiner", whole.folder / "second")
    edit(whole.folder / "second/plans.json", lambda plans: configuration(plans).update(patch_size=[1024, 1024]))
    second = NnunetSourceSettings("second", folds=("all",), tile_step_size=0.5, mirroring=False)
    methods = (
        replace(whole.method, sources=(*whole.method.sources, second)),
        replace(whole.method, postprocessing=(REDRAW, replace(REDRAW, folder="second"))),
    )
    for method in methods:
        sums = {name: sha256_of(whole.folder / name) for name in method.files}
        (whole.folder / "bundle.json").write_text(manifest_of("two", method, sums))
        with pytest.raises(BundleError, match=r"second/plans\.json: .*at most 50 MB each"):
            check_bundle(whole.folder)


def test_tiles_less_than_a_pixel_apart_are_refused(nnunet, tmp_path):
    spec = NnunetRedrawSettings("refiner", folds=("all",), tile_step_size=1e-9)
    assert "tile step size of a pixel or more, found 1e-09" in refused(nnunet, tmp_path, spec)


def test_finite_weights_whose_logits_are_not_are_refused(nnunet, tmp_path):
    path = nnunet / "fold_all" / "checkpoint_final.pth"
    content = load_weights(path)
    weights = content["network_weights"]
    largest = torch.finfo(torch.float32).max
    for name in ("decoder.seg_layers.3.weight", "decoder.seg_layers.3.bias"):
        weights[name] = torch.full_like(weights[name], largest)
    torch.save(content, path)
    assert refused(nnunet, tmp_path).startswith(f"{path}: expected finite numbers from the nnU-Net refiner")


def tracker_with(tmp_path: Path, change: Callable[[dict], object]) -> tuple[str, str]:
    """The small SAM2 with changed weights, and its configuration."""
    weights = load_weights(MINI / "tracker.pt")["model"]
    change(weights)
    torch.save({"model": weights}, tmp_path / "tracker.pt")
    return str(tmp_path / "tracker.pt"), str(MINI / "tracker.yaml")


def test_a_tracker_of_finite_weights_whose_numbers_are_not_is_refused(tmp_path):
    def overflow(weights: dict) -> None:
        for name in ("image_encoder.trunk.patch_embed.proj.weight", "image_encoder.trunk.pos_embed"):
            weights[name] = torch.full(weights[name].shape, torch.finfo(torch.float32).max)

    checkpoint, config = tracker_with(tmp_path, overflow)
    with pytest.raises(BundleError, match=rf"^{checkpoint}: expected finite numbers from the SAM2 tracker"):
        create_bundle(tmp_path / "new", checkpoint, tracker_config=config)


YAMLS = {
    "wide": (lambda m: m.image_encoder.trunk.update(embed_dim=8000), "a network of at most"),
    "deep": (lambda m: m.image_encoder.trunk.update(stages=[9000, 9000, 9000]), "a network of at most"),
    "too deep to count": (lambda m: m.image_encoder.trunk.update(stages=[10**9, 1, 1]), "number up to 10000"),
    "many layers": (lambda m: m.memory_attention.update(num_layers=10_000), "a network of at most"),
    "large rotary tables": (
        lambda m: m.memory_attention.layer.self_attention.update(feat_sizes=[9000, 9000]),
        "a network of at most",
    ),
    "a large image": (lambda m: m.update(image_size=2**15), "image_size: expected 1 to 2048 px|number up to"),
    "an odd image": (lambda m: m.update(image_size=250), "settings that can be run, found ones that fail"),
    "an unknown option": (lambda m: m.update(magic=1), "one that fails"),
}


@pytest.mark.parametrize("kind", YAMLS)
def test_a_configuration_that_no_checkpoint_can_be_of_is_refused_before_it_is_built(kind, tmp_path):
    change, message = YAMLS[kind]
    document = OmegaConf.load(MINI / "tracker.yaml")
    change(document.model)
    path = tmp_path / "odd.yaml"
    OmegaConf.save(document, path)
    with pytest.raises(BundleError) as error:
        create_bundle(tmp_path / "new", str(MINI / "tracker.pt"), tracker_config=str(path))
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)
    assert any(part in str(error.value) for part in message.split("|"))


def test_the_command_says_so_in_one_line_and_so_does_check(nnunet, tmp_path, capsys):
    edit(nnunet / "plans.json", PLANS["too few schemes"][0])
    words = ["--tracker", "static", "--refiner", str(nnunet), "--folds", "all", "-o", str(tmp_path / "new")]
    assert main(["bundle", "create", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {nnunet / 'plans.json'}: expected 10 normalization_schemes")


@pytest.mark.parametrize("name", ["default", "registration", "static", "training/sam2-mini"])
def test_every_shipped_bundle_passes(name):
    assert check_bundle(RESOURCES / name).folder == RESOURCES / name


def test_the_trial_shows_a_whole_target_on_frames_that_differ():
    case = trial_case()
    mask, frames = case.first_mask, case.sequence.frames
    assert mask.any() and not mask[[0, -1]].any() and not mask[:, [0, -1]].any()
    assert frames[0][mask].mean() > frames[0][~mask].mean() + 200 and not np.array_equal(*frames)
