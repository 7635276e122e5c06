"""Confidence: the tracker's mask is changed only where nnU-Net gives the change that probability."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from nnunet_model_folder import drifting_disc, plan_dataset, write_model_folder
from stock_nnunet import stock_predictor

from cinetrack.bundle import open_bundle
from cinetrack.bundle.loading import load_refiner
from cinetrack.cli.main import main
from cinetrack.errors import InputError
from cinetrack.refinement import Refiner
from cinetrack.refinement.confidence import changed_where_sure
from cinetrack.refinement.window import FrameWindow

CPU = torch.device("cpu")
SHAPE = st.shared(st.tuples(st.integers(1, 8), st.integers(1, 8)), key="shape")
MASKS = arrays(np.bool_, SHAPE)
PROBABILITIES = arrays(np.float64, SHAPE, elements=st.floats(0, 1))


@given(mask=MASKS, probability=PROBABILITIES, confidence=st.floats(0.5, 0.999))
def test_each_pixel_is_changed_where_the_change_is_more_probable_than_that(mask, probability, confidence):
    refined = changed_where_sure(mask, probability, confidence)
    for pixel in np.ndindex(mask.shape):
        change = 1 - probability[pixel] if mask[pixel] else probability[pixel]
        assert refined[pixel] == (mask[pixel] != (change > confidence))


@given(mask=MASKS, probability=PROBABILITIES, confidences=st.tuples(st.floats(0.5, 0.999), st.floats(0.5, 0.999)))
def test_more_confidence_never_changes_more(mask, probability, confidences):
    few, many = (changed_where_sure(mask, probability, c) ^ mask for c in sorted(confidences, reverse=True))
    assert not (few & ~many).any()


def stock_probability(predictor, channels: np.ndarray, spacing_mm: tuple[float, float], regions: bool) -> np.ndarray:
    properties = {"spacing": (999.0, *spacing_mm)}
    _, probabilities = predictor.predict_single_npy_array(channels[:, None], properties, None, None, True)
    return probabilities[:, 0].max(axis=0) if regions else probabilities[1:, 0].sum(axis=0)


@pytest.mark.parametrize(
    ("kind", "spacing_mm"),
    [("png", (1.0, 1.0)), ("mha", (1.25, 1.0)), ("mha", (2.0, 1.4)), ("regions", (1.0, 1.0))],
    ids=["cropped", "and transposed", "and resampled", "regions"],
)
def test_with_confidence_a_mask_is_nnunets_where_its_probabilities_suffice(request, tmp_path, kind, spacing_mm):
    if kind == "regions":
        labels = {"background": 0, "target": [1, 2], "core": [2]}
        planned = plan_dataset(tmp_path / "planned", features=4, labels=labels, regions_class_order=[1, 2])
        folder = write_model_folder(tmp_path / "model", planned)
    else:
        folder = request.getfixturevalue({"png": "model_folder", "mha": "mha_model"}[kind])
    frames, tracked = drifting_disc(4, (90, 83))
    frames[:, :9] = 0
    predictor = stock_predictor(folder)
    window = FrameWindow(5, frames[0], tracked[0])
    expected = []
    for frame, mask in zip(frames[1:], tracked[1:]):
        window.append(frame, mask)
        expected.append(stock_probability(predictor, window.channels(), spacing_mm, kind == "regions"))
    change = np.where(tracked[1:], 1 - np.stack(expected), np.stack(expected))
    confidence = max(0.5001, float(np.median(change[change > 0.5])))

    refiner = Refiner.load(folder, tile_step_size=0.5, confidence=confidence, device=CPU)
    session = refiner.start(frames[0], tracked[0], spacing_mm)
    refined = np.stack([session.step(*pair) for pair in zip(frames[1:], tracked[1:])])
    unsure = np.abs(change - confidence) < 1e-3
    np.testing.assert_array_equal((refined ^ tracked[1:])[~unsure], (change > confidence)[~unsure])
    assert unsure.mean() < 0.1
    assert (refined ^ tracked[1:]).any() and ((change > 0.5) & ~(refined ^ tracked[1:])).any()


def test_a_bundle_keeps_its_confidence_at_every_pace(model_folder, tmp_path):
    create = ["bundle", "create", "--tracker", "static", "--refiner", str(model_folder), "--preset", "fast=0.5"]
    assert main([*create, "--confidence", "0.9", "-o", str(tmp_path / "sure")]) == 0
    assert main([*create, "-o", str(tmp_path / "even")]) == 0
    opened = open_bundle(tmp_path / "sure")
    assert load_refiner(opened).confidence == load_refiner(opened.with_refiner_settings("fast")).confidence == 0.9
    assert load_refiner(open_bundle(tmp_path / "even")).confidence == 0.5
    assert "confidence" not in (tmp_path / "even/bundle.json").read_text()


@pytest.mark.parametrize("confidence", ["0.49", "1", "nan"])
def test_an_unusable_confidence_is_refused(model_folder, tmp_path, capsys, confidence):
    create = ["bundle", "create", "--tracker", "static", "--refiner", str(model_folder), f"--confidence={confidence}"]
    assert main([*create, "-o", str(tmp_path / "b")]) == 2
    wanted = f"refiner.confidence: expected at least 0.5 and below 1, found {float(confidence)}"
    assert wanted in capsys.readouterr().err
    with pytest.raises(InputError, match="confidence of at least 0.5 and below 1"):
        Refiner.load(model_folder, confidence=float(confidence), device=CPU)
