"""The refiner's labels are nnUNetPredictor's, whatever the image size, the settings and the kind of 2D model.

Differences are counted over several images together, because 99.99 % of one small image is every pixel of it and the
last bit of a float32 depends on the processor. On the one these tests were written on, no pixel differs.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from nnunet_model_folder import drifting_disc, plan_dataset, write_model_folder
from stock_nnunet import stock_labels, stock_predictor

from cinetrack.refinement.refiner import Refiner
from cinetrack.refinement.window import FrameWindow

CPU = torch.device("cpu")
AGREEMENT = 0.9999
# Below, at and above the 64 x 64 patch, square and not, and above in one direction only.
SIZES = [(40, 50), (64, 64), (64, 90), (83, 71)]


def window_of(size, length=5, seed=3, border_px=0) -> np.ndarray:
    """(2 * length, H, W) channels of the middle of a drifting disc's sequence."""
    frames, masks = drifting_disc(length + 2, size, seed, border_px)
    window = FrameWindow(length, frames[0], masks[0])
    for frame, mask in zip(frames[1:], masks[1:], strict=True):
        window.append(frame, mask)
    return window.channels()


def assert_same_labels(refiner: Refiner, predictor, windows, spacing_mm=(1.0, 1.0)) -> None:
    equal, total = 0, 0
    for channels in windows:
        ours, theirs = refiner.labels(channels, spacing_mm), stock_labels(predictor, channels, spacing_mm)
        assert ours.shape == theirs.shape == channels.shape[1:]
        assert 0.02 < (theirs > 0).mean() < 0.98, "the reference must draw something for a comparison to mean anything"
        equal, total = equal + int((ours == theirs).sum()), total + ours.size
    assert equal / total >= AGREEMENT


@pytest.mark.parametrize("folds", [(0,), (0, 1)], ids=["one_fold", "two_folds"])
@pytest.mark.parametrize("mirroring", [True, False], ids=["mirrored", "not_mirrored"])
@pytest.mark.parametrize("tile_step_size", [0.05, 0.25, 0.5])
def test_labels_equal_nnunets_for_images_of_any_size(model_folder, folds, mirroring, tile_step_size):
    settings = {"folds": folds, "mirroring": mirroring, "tile_step_size": tile_step_size}
    refiner = Refiner.load(model_folder, device=CPU, **settings)
    assert_same_labels(refiner, stock_predictor(model_folder, **settings), map(window_of, SIZES))


def test_logits_equal_nnunets_within_one_rounding_of_float16(model_folder):
    refiner, predictor = Refiner.load(model_folder, device=CPU), stock_predictor(model_folder, tile_step_size=0.05)
    image = torch.from_numpy(window_of((83, 71))[:, None])
    ours = refiner._sliding_window.logits(image)
    theirs = predictor.predict_logits_from_preprocessed_data(image)
    assert ours.dtype == theirs.dtype == torch.half
    # Sums of up to some hundred are kept to 1/4, of weights that add up to as much: 2**-10 of the logit, twice.
    torch.testing.assert_close(ours, theirs, rtol=2**-9, atol=1e-3)


@pytest.mark.parametrize("tile_batch", [3, 64])
def test_the_batch_of_tiles_and_mirrored_copies_does_not_show(model_folder, tile_batch):
    channels = window_of((83, 71))
    one_by_one = Refiner.load(model_folder, tile_step_size=0.25, device=CPU, tile_batch=1).labels(channels)
    batched = Refiner.load(model_folder, tile_step_size=0.25, device=CPU, tile_batch=tile_batch).labels(channels)
    assert (one_by_one == batched).mean() >= AGREEMENT


@pytest.mark.parametrize("length", [1, 10, 15])
def test_models_of_other_window_lengths_work(tmp_path, length):
    folder = write_model_folder(tmp_path / "model", plan_dataset(tmp_path / "planned", window=length, features=4))
    refiner = Refiner.load(folder, window=length, tile_step_size=0.5, device=CPU)
    assert_same_labels(refiner, stock_predictor(folder), [window_of((50, 70), length)])


def test_residual_encoder_networks_work(tmp_path):
    folder = write_model_folder(
        tmp_path / "model", plan_dataset(tmp_path / "planned", planner="ResEncUNetPlanner", features=4)
    )
    assert "ResidualEncoderUNet" in (folder / "plans.json").read_text()
    refiner = Refiner.load(folder, tile_step_size=0.5, device=CPU)
    assert_same_labels(refiner, stock_predictor(folder), [window_of((70, 64))])


def test_region_models_and_their_label_values_are_followed(tmp_path):
    labels = {"background": 0, "target": [1, 2], "core": [2]}
    planned = plan_dataset(tmp_path / "planned", features=4, labels=labels, regions_class_order=[1, 2])
    folder = write_model_folder(tmp_path / "model", planned)
    refiner = Refiner.load(folder, tile_step_size=0.5, device=CPU)
    windows = [window_of((50, 70)), window_of((83, 64))]
    assert_same_labels(refiner, stock_predictor(folder), windows)
    assert set(np.unique(refiner.labels(windows[0]))) == {0, 1, 2}


def test_black_borders_are_cropped_and_left_out_of_normalisation_as_planned(tmp_path):
    planned = plan_dataset(tmp_path / "planned", features=4, border_px=8)
    assert planned.plans["configurations"]["2d"]["use_mask_for_norm"] == [True] * 10
    folder = write_model_folder(tmp_path / "model", planned)
    refiner = Refiner.load(folder, tile_step_size=0.5, device=CPU)
    windows = [window_of(size, border_px=9) for size in ((60, 75), (90, 83))]
    assert not windows[0][:, :9].any()
    assert_same_labels(refiner, stock_predictor(folder), windows)
    assert not refiner.labels(windows[0])[:9].any()


@pytest.mark.parametrize(
    "scheme", ["NoNormalization", "RescaleTo01Normalization", "CTNormalization", "RGBTo01Normalization"]
)
def test_other_normalisations_are_taken_from_the_plans(planned, tmp_path, scheme):
    schemes = ["ZScoreNormalization" if c % 2 else scheme for c in range(10)]
    folder = write_model_folder(tmp_path / "model", planned.with_configuration(normalization_schemes=schemes))
    refiner = Refiner.load(folder, tile_step_size=0.5, device=CPU)
    assert_same_labels(refiner, stock_predictor(folder), [window_of((50, 70))])


@pytest.mark.parametrize("spacing_mm", [(1.25, 1.0), (1.0, 1.0), (2.0, 1.4)])
def test_transposition_and_resampling_to_the_planned_spacing_are_nnunets(mha_model, spacing_mm):
    refiner = Refiner.load(mha_model, tile_step_size=0.5, device=CPU)
    assert_same_labels(refiner, stock_predictor(mha_model), [window_of((60, 90)), window_of((45, 41))], spacing_mm)


def test_spacing_means_nothing_to_a_model_trained_on_png(model_folder):
    refiner = Refiner.load(model_folder, tile_step_size=0.5, device=CPU)
    channels = window_of((50, 70))
    np.testing.assert_array_equal(refiner.labels(channels, (2.0, 1.5)), refiner.labels(channels))


def test_a_trainer_we_do_not_have_makes_no_difference(model_folder, tmp_path):
    content = torch.load(model_folder / "fold_0" / "checkpoint_final.pth", weights_only=False)
    content["trainer_name"] = "nnUNetTrainerElastic_NoSuchClass"
    (tmp_path / "fold_all").mkdir()
    torch.save(content, tmp_path / "fold_all" / "checkpoint_best.pth")
    for name in ("plans.json", "dataset.json"):
        (tmp_path / name).write_bytes((model_folder / name).read_bytes())
    renamed = Refiner.load(tmp_path, folds=("all",), checkpoint="checkpoint_best.pth", tile_step_size=0.5, device=CPU)
    original = Refiner.load(model_folder, tile_step_size=0.5, device=CPU)
    channels = window_of((50, 70))
    np.testing.assert_array_equal(renamed.labels(channels), original.labels(channels))


def test_mirroring_follows_the_axes_that_the_checkpoint_allows(model_folder, tmp_path):
    content = torch.load(model_folder / "fold_0" / "checkpoint_final.pth", weights_only=False)
    (tmp_path / "fold_0").mkdir()
    for name in ("plans.json", "dataset.json"):
        (tmp_path / name).write_bytes((model_folder / name).read_bytes())
    torch.save(content | {"inference_allowed_mirroring_axes": (1,)}, tmp_path / "fold_0" / "checkpoint_final.pth")
    refiner = Refiner.load(tmp_path, tile_step_size=0.5, device=CPU)
    windows = [window_of((50, 70)), window_of((83, 71))]
    assert_same_labels(refiner, stock_predictor(tmp_path), windows)
    every_axis = Refiner.load(model_folder, tile_step_size=0.5, device=CPU)
    assert (refiner.labels(windows[0]) != every_axis.labels(windows[0])).any()


def test_logits_beyond_float16_are_computed_in_float32_where_nnunet_stops(planned, tmp_path):
    folder = write_model_folder(tmp_path / "model", planned, last_layer_scale=1000.0)
    channels = window_of((83, 71))
    with pytest.raises(RuntimeError, match="Encountered inf"):
        stock_labels(stock_predictor(folder), channels)
    labels = Refiner.load(folder, tile_step_size=0.5, device=CPU).labels(channels)
    same_borders = write_model_folder(tmp_path / "unscaled", planned)
    expected = Refiner.load(same_borders, tile_step_size=0.5, device=CPU).labels(channels)
    assert (labels == expected).mean() > 0.995  # the same borders, but for float16's rounding on one side only


def test_autocast_keeps_the_labels_but_for_pixels_on_a_border_and_is_closed_afterwards(model_folder):
    channels = window_of((70, 64))
    exact = Refiner.load(model_folder, tile_step_size=0.5, device=CPU).labels(channels)
    rounded = Refiner.load(model_folder, tile_step_size=0.5, device=CPU, dtype=torch.bfloat16).labels(channels)
    assert 0.97 < (exact == rounded).mean() < 1.0
    assert not torch.is_autocast_enabled("cpu")


@pytest.mark.slow
def test_labels_equal_nnunets_with_the_papers_network(planned, tmp_path):
    folder = write_model_folder(tmp_path / "paper", planned.with_paper_architecture())
    architecture = json.loads((folder / "plans.json").read_text())["configurations"]["2d"]["architecture"]
    assert architecture["arch_kwargs"]["features_per_stage"] == [32, 64, 128, 256, 512, 512, 512]
    refiner, predictor = Refiner.load(folder, device=CPU), stock_predictor(folder, tile_step_size=0.05)
    assert_same_labels(refiner, predictor, map(window_of, [(270, 270), (350, 310), (384, 384), (410, 350)]))
