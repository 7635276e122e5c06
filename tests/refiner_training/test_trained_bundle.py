"""`cinetrack refiner bundle` and the settings of a bundle's refiner."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from disc_dataset import RESOURCES, disc_case
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

from cinetrack.bundle import open_bundle
from cinetrack.bundle.assembly import create_bundle
from cinetrack.bundle.loading import load_refiner
from cinetrack.bundle.refiner_spec import RefinerPreset
from cinetrack.cli.main import main
from cinetrack.errors import BundleError, InputError
from cinetrack.refinement.window import FrameWindow
from cinetrack.refiner_training.planning import SMALL_PLANS
from cinetrack.refiner_training.trained_model import view_of
from cinetrack.refiner_training.training_run import model_folder


def test_a_bundle_holds_the_folds_and_their_settings(bundle):
    spec = open_bundle(bundle).refiner
    assert (spec.folds, spec.window, spec.tile_step_size, spec.mirroring) == ((0, 1), 5, 0.25, True)
    assert spec.presets == {"fast": RefinerPreset(0.5, False), "thorough": RefinerPreset(0.05, True)}


def test_weights_are_the_trained_ones_without_what_only_training_needs(bundle, trained):
    for fold in (0, 1):
        name = f"fold_{fold}/checkpoint_final.pth"
        full_path = model_folder(trained, SMALL_PLANS) / name
        full = torch.load(full_path, weights_only=False)
        slim = torch.load(bundle / "refiner" / name, weights_only=True)
        assert all(torch.equal(slim["network_weights"][key], value) for key, value in full["network_weights"].items())
        assert "optimizer_state" not in slim and slim["init_args"] == {"configuration": "2d", "fold": fold}
        assert (bundle / "refiner" / name).stat().st_size < 0.7 * full_path.stat().st_size


def test_stock_nnunet_reads_the_bundles_model_and_gives_the_same_labels(bundle, monkeypatch):
    monkeypatch.delenv("nnUNet_extTrainer", raising=False)
    frames, masks = disc_case(2)
    window = FrameWindow(5, frames[0], masks[0])
    for frame, mask in zip(frames[1:], masks[1:], strict=True):
        window.append(frame, mask)
    predictor = nnUNetPredictor(tile_step_size=0.25, device=torch.device("cpu"), allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(bundle / "refiner"), (0, 1))
    stock = predictor.predict_single_npy_array(window.channels()[:, None], {"spacing": (999, 1, 1)})[0]
    ours = load_refiner(open_bundle(bundle)).labels(window.channels())
    assert (stock == ours).mean() >= 0.9999


def test_a_preset_is_another_model_with_its_own_results(bundle, discs, tmp_path, capsys):
    opened = open_bundle(bundle)
    fast = opened.with_refiner_settings("fast")
    assert (fast.refiner.tile_step_size, fast.refiner.mirroring) == (0.5, False)
    assert fast.fingerprint != opened.fingerprint == opened.with_refiner_settings("default").fingerprint
    predict = ["predict", str(discs / "A_001"), "-o", str(tmp_path), "--model", str(bundle), "--device", "cpu"]
    assert main([*predict, "--refiner-settings", "fast"]) == 0
    assert json.loads((tmp_path / "A_001/prediction.json").read_text())["bundle_fingerprint"] == fast.fingerprint
    assert main(predict) == 2
    assert "found one of another" in capsys.readouterr().err


def test_a_preset_runs_the_refiner_at_its_pace(bundle):
    """Told by tiles and mirrored copies: 48 px, and a patch of 32 px that goes over them by 16, 8 or 1.6 px."""
    opened = open_bundle(bundle)
    passes = {}
    for name in ("default", "fast", "thorough"):
        refiner = load_refiner(opened.with_refiner_settings(name))
        window = refiner._sliding_window
        passes[name] = len(window._make_grid((1, 48, 48)).tiles) * len(window._flips)
    assert passes == {"default": 9 * 4, "fast": 4, "thorough": 121 * 4}


def test_unknown_settings_and_bundles_without_refiner_are_refused(bundle, discs, tmp_path, capsys):
    predict = ["predict", str(discs / "A_001"), "-o", str(tmp_path), "--model"]
    assert main([*predict, str(bundle), "--refiner-settings", "quick"]) == 2
    assert "expected one of default, fast, thorough, found quick" in capsys.readouterr().err
    assert main([*predict, str(RESOURCES / "static"), "--refiner-settings", "fast"]) == 2
    assert "expected a bundle with a refiner" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("presets", "message"),
    [
        ({"fast": {"tile_step_size": 2, "mirroring": True}}, "fraction in"),
        ({"fast": {"tile_step_size": 0.5, "mirroring": "no"}}, "true or false"),
        ({"fast": {"tile_step_size": 0.5}}, "found no mirroring"),
        ({"fast": {"tile_step_size": 0.5, "mirroring": True, "window": 1}}, "found window"),
        ({"default": {"tile_step_size": 0.5, "mirroring": True}}, "names other than default"),
        (["fast"], "settings by name"),
    ],
)
def test_unusable_presets_are_refused(bundle, tmp_path, presets, message):
    document = json.loads((bundle / "bundle.json").read_text())
    document["refiner"]["presets"] = presets
    (tmp_path / "bundle.json").write_text(json.dumps(document))
    with pytest.raises(BundleError, match=message):
        open_bundle(tmp_path)


@pytest.mark.parametrize("text", ["fast", "fast=", "fast=0.5,mirroring", "=0.5", "fast=1.2.3"])
def test_presets_are_written_as_name_and_step(trained, tmp_path, capsys, text):
    command = ["refiner", "bundle", str(trained.raw_root), "--tracker", "static", "--folds", "0", "--preset", text]
    assert main([*command, "-o", str(tmp_path / "b")]) == 2
    assert f"found {text}" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["default", "registration", "static"])
def test_a_bundles_tracker_serves_for_another_bundle(name, tmp_path):
    source = open_bundle(RESOURCES / name)
    made = create_bundle(tmp_path / "made", str(RESOURCES / name))
    assert made.tracker == source.tracker and made.refiner is None and made.segmenter == source.segmenter
    files = {str(path.relative_to(made.folder)): path for path in made.folder.rglob("*") if path.is_file()}
    for file, path in files.items():
        if file != "bundle.json":
            assert path.read_bytes() == (RESOURCES / name / file).read_bytes()
    with pytest.raises(InputError, match="expected none with the bundle"):
        create_bundle(tmp_path / "other", str(RESOURCES / name), "sam2.1_hiera_t.yaml")


def test_a_fold_that_is_not_trained_cannot_be_bundled(trained, tmp_path, capsys):
    command = ["refiner", "bundle", str(trained.raw_root), "--tracker", "static", "-o", str(tmp_path / "b")]
    assert main([*command, "--folds", "4"]) == 2
    assert "fold_4/checkpoint_final.pth: expected a PyTorch checkpoint, found no such file" in capsys.readouterr().err
    assert main([*command, "--folds", "0", "--results", str(tmp_path)]) == 2
    assert "dataset.json: expected a model of `cinetrack refiner train`" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_the_window_is_read_from_the_models_channels(trained, tmp_path):
    assert view_of(model_folder(trained, SMALL_PLANS)).window == 5
    (tmp_path / "dataset.json").write_text(json.dumps({"channel_names": {"0": "a", "1": "b", "2": "c"}}))
    with pytest.raises(InputError, match="channels in pairs of image and mask, found 3"):
        view_of(tmp_path)


def test_masks_of_the_refined_bundle_are_masks(bundle, discs, tmp_path):
    """The other end of the path: evaluate takes what predict wrote."""
    predict = ["predict", str(discs), "-o", str(tmp_path / "p"), "--model", str(bundle), "--refiner-settings", "fast"]
    assert main([*predict, "--device", "cpu"]) == 0
    evaluate = ["evaluate", str(tmp_path / "p"), "--truth", str(discs), "-o", str(tmp_path / "metrics.json")]
    assert main([*evaluate, "--workers", "1"]) == 0
    rows = json.loads((tmp_path / "metrics.json").read_text())["results"]
    assert len(rows) == 6 and all(np.isfinite(row["dice_similarity_coefficient"]) for row in rows)
