"""How sure the refiner is of a pixel: nnU-Net's own probabilities, as log-odds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from nnunet_model_folder import drifting_disc, plan_dataset, write_model_folder
from stock_nnunet import stock_predictor

from cinetrack.refinement.refiner import CERTAIN, Refiner
from cinetrack.refinement.window import FrameWindow

CPU = torch.device("cpu")


def stock_probability(predictor, channels: np.ndarray, spacing_mm: tuple[float, float], regions: bool) -> np.ndarray:
    properties = {"spacing": (999.0, *spacing_mm)}
    _, probabilities = predictor.predict_single_npy_array(channels[:, None], properties, None, None, True)
    return probabilities[:, 0].max(axis=0) if regions else probabilities[1:, 0].sum(axis=0)


@pytest.mark.parametrize(
    ("kind", "spacing_mm"),
    [("png", (1.0, 1.0)), ("mha", (1.25, 1.0)), ("mha", (2.0, 1.4)), ("regions", (1.0, 1.0))],
    ids=["cropped", "and transposed", "and resampled", "regions"],
)
def test_probabilities_are_nnunets(request, tmp_path, kind, spacing_mm):
    if kind == "regions":
        labels = {"background": 0, "target": [1, 2], "core": [2]}
        planned = plan_dataset(tmp_path / "planned", features=4, labels=labels, regions_class_order=[1, 2])
        folder = write_model_folder(tmp_path / "model", planned)
    else:
        folder = request.getfixturevalue({"png": "model_folder", "mha": "mha_model"}[kind])
    frames, tracked = drifting_disc(4, (90, 83))
    frames[:, :9] = 0
    predictor, refiner = stock_predictor(folder), Refiner.load(folder, tile_step_size=0.5, device=CPU)
    window = FrameWindow(5, frames[0], tracked[0])
    unequal = []
    for frame, mask in zip(frames[1:], tracked[1:], strict=True):
        window.append(frame, mask)
        expected = stock_probability(predictor, window.channels(), spacing_mm, kind == "regions")
        found = refiner.probability(window.channels(), spacing_mm)
        assert found.dtype == np.float32 and expected.min() < 0.1 and expected.max() > 0.9
        unequal.append(np.abs(found - expected) > 1e-3)
    assert np.mean(unequal) <= 1e-4  # nnU-Net adds up tiles in float16, where the last bit depends on the processor


def test_log_odds_are_those_of_the_refiners_own_mask(model_folder):
    frames, masks = drifting_disc(7, (150, 130))
    refiner = Refiner.load(model_folder, tile_step_size=0.5, mirroring=False, device=CPU)
    labelling, weighing = (refiner.start(frames[0], masks[0]) for _ in range(2))
    for frame, mask in zip(frames[1:], masks[1:], strict=True):
        odds = weighing.log_odds(frame, mask)
        np.testing.assert_array_equal(odds > 0, labelling.step(frame, mask))
        assert np.abs(odds).max() <= CERTAIN and len(np.unique(odds)) > 100


def test_log_odds_are_the_logarithm_of_the_odds_and_certainty_is_bounded(model_folder, monkeypatch):
    refiner = Refiner.load(model_folder, tile_step_size=0.5, mirroring=False, device=CPU)
    frames, masks = drifting_disc(2, (64, 64))
    probability = np.full((64, 64), 0.5, np.float32)
    probability[0, :4] = 0, 1, 0.25, 0.9
    monkeypatch.setattr(Refiner, "probability", lambda *_: probability)
    odds = refiner.start(frames[0], masks[0]).log_odds(frames[1], masks[1])
    np.testing.assert_allclose(odds[0, :5], [-CERTAIN, CERTAIN, -np.log(3), np.log(9), 0], rtol=1e-5)
