"""What a network gives is finite, or is worked out again in float32, or is an error: never an empty mask."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from cinetrack.bundle.checksum import sha256_of
from cinetrack.bundle.safe_weights import load_weights
from cinetrack.cli.main import main
from cinetrack.errors import BundleError
from cinetrack.refinement.refiner import Refiner
from cinetrack.tracking import Chain, PointPrompt
from cinetrack.tracking.evidence.sam2.source import Sam2Source
from cinetrack.tracking.finite import finite_answer

CPU = torch.device("cpu")
RESOURCES = Path(__file__).resolve().parents[2] / "resources"
MINI = RESOURCES / "training" / "sam2-mini"
NAN = float("nan")


def loaded(folder: Path, dtype: torch.dtype) -> Chain:
    return Chain("sam2", (Sam2Source.load("tracker.yaml", folder / "tracker.pt", folder, CPU, dtype),))


@pytest.fixture(scope="module")
def beyond_half(tmp_path_factory) -> Path:
    """The small SAM2, its features beyond what float16 holds: scaled up in the neck, where no normalisation follows."""
    folder = tmp_path_factory.mktemp("beyond")
    weights = {name: value.float() for name, value in load_weights(MINI / "tracker.pt")["model"].items()}
    names = [name for name in weights if name.startswith("image_encoder.neck.convs.")]
    for name in names:
        weights[name] = weights[name] * 1e6
    torch.save({"model": weights}, folder / "tracker.pt")
    shutil.copyfile(MINI / "tracker.yaml", folder / "tracker.yaml")
    return folder


def answers(*values: float):
    """Gives one number after the other."""
    given = iter(values)
    return lambda in_float32: torch.tensor(next(given))


def test_an_answer_in_half_precision_that_is_none_is_worked_out_once_more(caplog):
    with caplog.at_level(logging.WARNING):
        assert finite_answer(answers(NAN, 2.0), lambda found: [found], True, "tracker", "w.pt") == 2
    assert "tracker: numbers beyond the range of half precision" in caplog.text


@pytest.mark.parametrize(("half", "values"), [(True, (NAN, NAN)), (True, (np.inf, -np.inf)), (False, (NAN,))])
def test_an_answer_that_stays_none_names_the_weights(half, values):
    with pytest.raises(BundleError, match=r"^w\.pt: expected finite numbers from the tracker, found NaN or infinity"):
        finite_answer(answers(*values), lambda found: [found], half, "tracker", "w.pt")


def test_sam2_beyond_float16_tracks_as_in_float32(beyond_half, drifting_series, caplog):
    frames, masks = drifting_series
    in_half, in_float32 = (loaded(beyond_half, dtype) for dtype in (torch.float16, torch.float32))
    ours, reference = (chain.start(frames[0], masks[0]) for chain in (in_half, in_float32))
    for frame in frames[1:4]:
        found, expected = ours.step(frame), reference.step(frame)
        np.testing.assert_allclose(found.logits, expected.logits, rtol=1e-3, atol=1e-2)
        assert np.isfinite(found.object_score) and np.isfinite(found.predicted_iou)
    click = PointPrompt(((40.0, 40.0),), (True,))
    np.testing.assert_allclose(ours.correct(click).logits, reference.correct(click).logits, rtol=1e-3, atol=1e-2)
    assert "SAM2 tracker: numbers beyond the range of half precision" in caplog.text


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize(
    "part",
    [
        "sam_mask_decoder.pred_obj_score_head.layers.0.weight",  # a score of NaN is not above 0: "no target"
        "sam_mask_decoder.iou_prediction_head.layers.0.weight",
        "memory_encoder.out_proj.weight",
        "image_encoder.neck.convs.0.conv.weight",
    ],
)
def test_sam2_whose_numbers_are_none_is_an_error_on_the_frame_where_they_appear(part, dtype, drifting_series):
    frames, masks = drifting_series
    chain = loaded(MINI, dtype)
    session = chain.start(frames[0], masks[0])
    session.step(frames[1])
    chain.sources[0].network.get_parameter(part).data.fill_(NAN)
    with pytest.raises(BundleError, match=rf"^{MINI / 'tracker.pt'}: expected finite numbers from the SAM2 tracker"):
        session.step(frames[2])


def test_a_prompt_that_leads_to_no_numbers_is_an_error(drifting_series):
    frames, masks = drifting_series
    chain = loaded(MINI, torch.float32)
    session = chain.start(frames[0], masks[0])
    chain.sources[0].network.get_parameter("memory_encoder.out_proj.weight").data.fill_(NAN)
    for prompt in (
        lambda: chain.start(frames[0], masks[0]),
        lambda: session.add_target(PointPrompt(((9, 9),), (True,))),
    ):
        with pytest.raises(BundleError, match="expected finite numbers from the SAM2 tracker"):
            prompt()


def test_a_refiner_whose_logits_are_none_is_an_error_on_that_frame(drifting_series):
    frames, masks = drifting_series
    folder = RESOURCES / "training" / "refiner"
    refiner = Refiner.load(folder, folds=("all",), tile_step_size=0.5, mirroring=False, device=CPU)
    session = refiner.start(frames[0], masks[0])
    assert session.step(frames[1], masks[1]).any()
    next(refiner.model.networks[0].parameters()).data.fill_(NAN)
    for step in (session.step, session.log_odds):
        with pytest.raises(
            BundleError, match=r"checkpoint_final\.pth: expected finite numbers from the nnU-Net refiner"
        ):
            step(frames[2], masks[2])


def test_a_dataset_is_not_predicted_with_weights_that_overflow(platform_input, tmp_path, capsys):
    """Finite weights in a bundle that was never checked: exit code 2 and no masks."""
    folder = Path(shutil.copytree(MINI, tmp_path / "bundle"))
    weights = load_weights(folder / "tracker.pt")["model"]
    name = "image_encoder.neck.convs.0.conv.weight"
    weights[name] = torch.full(weights[name].shape, torch.finfo(torch.float32).max)
    torch.save({"model": weights}, folder / "tracker.pt")
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["files"]["tracker.pt"] = sha256_of(folder / "tracker.pt")
    (folder / "bundle.json").write_text(json.dumps(manifest))
    words = ["predict", platform_input, "-o", tmp_path / "masks", "--model", folder, "--device", "cpu"]
    assert main([*map(str, words)]) == 2
    assert f"{folder / 'tracker.pt'}: expected finite numbers from the SAM2 tracker" in capsys.readouterr().err
    assert not list((tmp_path / "masks").rglob("output.mha"))
