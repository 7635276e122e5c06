"""What the network is fed in training equals, number by number, what it is fed when it runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from disc_dataset import RESOURCES
from nnunetv2.preprocessing.normalization.default_normalization_schemes import ZScoreNormalization
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

from cinetrack.bundle import open_bundle
from cinetrack.pipeline.model import load_model
from cinetrack.pipeline.track_case import track_whole
from cinetrack.refinement.refiner import Refiner
from cinetrack.refinement.sliding_window import SlidingWindow
from cinetrack.refiner_training.planning import SMALL_PLANS
from cinetrack.refiner_training.training_run import model_folder
from cinetrack.sequence import find_cases
from cinetrack.tracking.postprocessing.nnunet_redraw import NnunetRedraw


@pytest.mark.parametrize("tracker", ["registration", "static"])
def test_preprocessed_samples_equal_the_networks_input_in_the_pipeline(trained, discs, tracker, monkeypatch):
    fed: list[np.ndarray] = []
    logits = SlidingWindow.logits

    def record(window: SlidingWindow, image: torch.Tensor) -> torch.Tensor:
        fed.append(image.numpy().copy())
        return logits(window, image)

    monkeypatch.setattr(SlidingWindow, "logits", record)
    refiner = Refiner.load(model_folder(trained, SMALL_PLANS), device=torch.device("cpu"), tile_step_size=1.0)
    chain = load_model(open_bundle(RESOURCES / tracker), "cpu").chain
    chain = replace(chain, postprocessing=(NnunetRedraw(refiner), *chain.postprocessing))
    samples = nnUNetDatasetBlosc2(str(trained.preprocessed / f"{SMALL_PLANS}_2d"))
    compared = 0
    for files in find_cases(discs):
        fed.clear()
        track_whole(files.read_case().case, chain)
        for index, image in enumerate(fed, 1):
            name = f"{files.case_id}__{tracker}__{index:04d}"
            if name in samples.identifiers:
                stored, *_ = samples.load_case(name)
                np.testing.assert_array_equal(stored[:], image)
                assert image.shape[2:] != files.read_labels().shape[1:]  # the black border is cut off in both
                compared += 1
    assert compared == 6 * 3


@pytest.mark.parametrize("share", [0.002, 0.05, 0.5])
def test_the_z_score_gives_a_mask_two_values_that_tell_its_share_of_the_image(share):
    mask = np.zeros((1, 50, 40), np.float32)
    mask.ravel()[: round(share * mask.size)] = 1
    normalised = ZScoreNormalization(False, {}).run(mask)
    np.testing.assert_allclose(normalised.min(), -np.sqrt(share / (1 - share)), rtol=1e-4)
    np.testing.assert_allclose(normalised.max(), np.sqrt((1 - share) / share), rtol=1e-4)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_the_z_score_makes_a_constant_channel_zero(value):
    assert not ZScoreNormalization(False, {}).run(np.full((1, 50, 40), value, np.float32)).any()
