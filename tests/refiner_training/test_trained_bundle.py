"""`cinetrack refiner bundle` and the settings of a bundle's refiner."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from disc_dataset import RESOURCES, disc_case
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

from cinetrack.bundle import open_bundle
from cinetrack.bundle.assembly import create_bundle
from cinetrack.cli.main import main
from cinetrack.errors import InputError
from cinetrack.refinement.window import FrameWindow
from cinetrack.refiner_training.planning import SMALL_PLANS
from cinetrack.refiner_training.trained_model import view_of
from cinetrack.refiner_training.training_run import model_folder
from cinetrack.tracking.postprocessing.fill_holes import FillHolesSettings
from cinetrack.tracking.postprocessing.nnunet_redraw import NnunetRedrawSettings


def test_a_bundle_holds_the_folds_and_their_settings(bundle):
    redraw = NnunetRedrawSettings(folds=(0, 1), window=5, tile_step_size=0.25, mirroring=True)
    assert open_bundle(bundle).method.postprocessing == (redraw, FillHolesSettings())


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
    ours = open_bundle(bundle).method.nnunet.load_refiner(bundle, "cpu").labels(window.channels())
    assert (stock == ours).mean() >= 0.9999


@pytest.mark.parametrize(
    ("settings", "passes"),
    [({}, 9 * 4), ({"tile_step_size": 0.5, "mirroring": False}, 4), ({"tile_step_size": 0.05}, 121 * 4)],
)
def test_a_bundles_settings_are_the_pace_at_which_its_refiner_runs(bundle, settings, passes):
    """Told by tiles and mirrored copies: 48 px, and a patch of 32 px that goes over them by 8, 16 or 1.6 px."""
    redraw = dataclasses.replace(open_bundle(bundle).method.nnunet, **settings)
    window = redraw.load_refiner(bundle, "cpu")._sliding_window
    assert len(window._make_grid((1, 48, 48)).tiles) * len(window._flips) == passes


@pytest.mark.parametrize("name", ["default", "registration", "static"])
def test_a_bundles_tracker_serves_for_another_bundle(name, tmp_path):
    source = open_bundle(RESOURCES / name)
    made = create_bundle(tmp_path / "made", str(RESOURCES / name))
    assert made.method == source.method.tracker() and made.method.nnunet is None
    assert made.segmenter == source.segmenter
    files = {str(path.relative_to(made.folder)): path for path in made.folder.rglob("*") if path.is_file()}
    for file, path in files.items():
        if file != "bundle.json":
            assert path.read_bytes() == (RESOURCES / name / file).read_bytes()
    with pytest.raises(InputError, match="expected none with the bundle"):
        create_bundle(tmp_path / "other", str(RESOURCES / name), tracker_config="sam2.1_hiera_t.yaml")


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
    predict = ["predict", str(discs), "-o", str(tmp_path / "p"), "--model", str(bundle)]
    assert main([*predict, "--device", "cpu"]) == 0
    evaluate = ["evaluate", str(tmp_path / "p"), "--truth", str(discs), "-o", str(tmp_path / "metrics.json")]
    assert main([*evaluate, "--workers", "1"]) == 0
    rows = json.loads((tmp_path / "metrics.json").read_text())["results"]
    assert len(rows) == 6 and all(np.isfinite(row["dice_similarity_coefficient"]) for row in rows)
