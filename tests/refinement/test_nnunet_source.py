"""nnU-Net as a source: on stabilised frames, in the target's surroundings, beside the frame of the outline."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from nnunet_model_folder import drifting_disc

from cinetrack.bundle import open_bundle
from cinetrack.cli.main import main
from cinetrack.errors import BundleError, InputError
from cinetrack.refinement.refiner import Refiner
from cinetrack.refinement.window import FrameWindow
from cinetrack.sequence.image_files import read_masks
from cinetrack.tracking import Chain, MaskPrompt
from cinetrack.tracking.evidence.nnunet import NnunetSource, NnunetSourceSettings
from cinetrack.tracking.evidence.outline import OutlineSettings, OutlineSource
from cinetrack.tracking.evidence.source import Evidence, Source
from cinetrack.tracking.region import Region
from cinetrack.tracking.signed_distance import signed_distance
from cinetrack.tracking.stage_clock import StageClock
from cinetrack.tracking.stabilisation.stabiliser import Stabiliser, Unstabilised, stabilised_clip
from cinetrack.tracking.view import View

SIZE = (150, 130)
LIMIT = 8.0
REGISTRATION = Path(__file__).resolve().parents[2] / "resources/registration"


@pytest.fixture(scope="module")
def refiner(model_folder) -> Refiner:
    return Refiner.load(model_folder, tile_step_size=0.5, mirroring=False, device=torch.device("cpu"))


@pytest.fixture(scope="module")
def series() -> tuple[np.ndarray, np.ndarray]:
    return drifting_disc(7, SIZE)


def chain_of(*sources: Source, stabiliser: Stabiliser | Unstabilised = Unstabilised()) -> Chain:
    """Frames as they are by default, where the outline keeps its place as on stabilised ones; masks as they are."""
    return Chain("test", sources, stabiliser, ())


class Recorded:
    """A source that says what it was given of each frame, whatever it is shown."""

    name, weight, limit, region_px, decodes, remembers, precision = "recorded", 0.5, None, None, False, False, "float32"

    def __init__(self, logits: np.ndarray, object_score: float = 1.0) -> None:
        self._logits, self._object_score = logits.astype(np.float32), object_score

    def target(self) -> Recorded:
        return self

    copy = target

    def prompt(self, view: View, prompt: MaskPrompt) -> Evidence:
        return Evidence(signed_distance(prompt.mask))

    def log_odds(self, view: View) -> Evidence:
        return Evidence(self._logits[view.index], self._object_score)


def test_each_target_is_judged_in_its_own_region_beside_the_frame_it_was_outlined_on(refiner, series):
    """nnU-Net's log-odds count up to a limit there, and add to the outline's."""
    frames, masks = series
    targets = [masks[0], np.roll(masks[0], 20, axis=1)]
    session = chain_of(OutlineSource(0.5), NnunetSource(refiner, 80)).start(frames[0], targets)
    regions = [Region.around(MaskPrompt(target), 80, SIZE) for target in targets]
    for t in range(1, 7):
        session.step(frames[t])
        for target, region, result in zip(targets, regions, session.results, strict=True):
            window = FrameWindow(5, region.cut(frames[0]), region.cut(target), keep_first=True)
            for earlier in range(1, t + 1):
                window.append(region.cut(frames[earlier]), region.cut(target))
            probability = refiner.probability(window.channels()).astype(np.float64)
            expected = np.full(SIZE, -LIMIT)
            with np.errstate(divide="ignore"):
                odds = np.log(probability) - np.log1p(-probability)
            expected[region.rows, region.columns] = odds.clip(-LIMIT, LIMIT)
            expected += 0.5 * signed_distance(target)
            np.testing.assert_allclose(result.logits, expected, atol=1e-4)
            assert (result.mask != target).any()


def test_where_nnunet_sees_no_target_the_outline_stands(refiner, series, monkeypatch):
    frames, masks = series
    monkeypatch.setattr(Refiner, "probability", lambda self, channels, *_: np.full(channels.shape[1:], 0.1, np.float32))
    session = chain_of(OutlineSource(), NnunetSource(refiner, 80)).start(frames[0], masks[0])
    np.testing.assert_array_equal(session.step(frames[1]).mask, masks[0])


@pytest.mark.parametrize("edge", [np.s_[:3, 40:60], np.s_[-3:, 40:60], np.s_[40:60, :3], np.s_[40:60, -3:]])
def test_of_a_target_cut_by_the_frames_border_nnunet_says_nothing(refiner, series, edge):
    frames, _ = series
    cut = np.zeros(SIZE, bool)
    cut[edge] = True
    session = chain_of(OutlineSource(0.5), NnunetSource(refiner, 80)).start(frames[0], cut)
    np.testing.assert_array_equal(session.step(frames[1]).mask, cut)


def test_it_is_shown_the_outline_and_not_what_another_source_says(refiner, series):
    frames, masks = series
    moving = np.where(masks, 1.0, -1.0)
    both = chain_of(Recorded(moving), NnunetSource(refiner, 80)).start(frames[0], masks[0])
    silent = chain_of(Recorded(0 * moving), NnunetSource(refiner, 80)).start(frames[0], masks[0])
    for t, frame in enumerate(frames[1:], 1):
        together, alone = both.step(frame).logits, silent.step(frame).logits
        np.testing.assert_allclose(together, alone + 0.5 * moving[t], atol=1e-6)
        assert (alone > 0).any()


def test_a_source_that_says_the_target_is_absent_counts_for_nothing(refiner, series):
    frames, masks = series
    absent = Recorded(np.full(masks.shape, -1024.0), object_score=-1.0)
    with_it = chain_of(absent, NnunetSource(refiner, 80)).start(frames[0], masks[0])
    without = chain_of(Recorded(np.zeros(masks.shape)), NnunetSource(refiner, 80)).start(frames[0], masks[0])
    for frame in frames[1:]:
        np.testing.assert_array_equal(with_it.step(frame).logits, without.step(frame).logits)
        assert with_it.results[0].object_score == -1.0


@pytest.mark.parametrize("stabiliser", [Unstabilised(), Stabiliser()], ids=["as it is", "stabilised"])
def test_a_corrected_target_is_judged_beside_the_corrected_frame(refiner, series, stabiliser):
    """As one is that was outlined there in the first place."""
    frames, masks = series
    chain = chain_of(OutlineSource(0.5), NnunetSource(refiner, 80), stabiliser=stabiliser)
    session = chain.start(frames[0], masks[0])
    session.step(frames[1])
    fresh = session.copy()
    fresh.add_target(MaskPrompt(masks[3]))
    np.testing.assert_array_equal(session.correct(MaskPrompt(masks[3])).mask, masks[3])
    for frame in frames[2:4]:
        session.step(frame)
        fresh.step(frame)
        np.testing.assert_array_equal(session.results[0].logits, fresh.results[1].logits)
    assert (session.results[0].mask != fresh.results[0].mask).any()


def test_a_copied_session_goes_on_by_itself(refiner, series):
    frames, masks = series
    chain = chain_of(OutlineSource(0.5), NnunetSource(refiner, 80))
    session, straight = (chain.start(frames[0], masks[0]) for _ in range(2))
    session.step(frames[1])
    twin = session.copy()
    for frame in frames[5:]:
        twin.step(frame)
    for frame in frames[1:4]:
        straight.step(frame)
    session.step(frames[2])
    np.testing.assert_array_equal(session.step(frames[3]).logits, straight.results[0].logits)


def test_a_target_added_later_is_tracked_like_one_alone(refiner, series):
    frames, masks = series
    chain = chain_of(OutlineSource(0.5), NnunetSource(refiner, 80))
    session = chain.start(frames[0], masks[0])
    session.step(frames[1])
    session.add_target(MaskPrompt(masks[1]))
    session.step(frames[2])
    alone = chain.start(frames[1], masks[1])
    np.testing.assert_array_equal(session.results[1].logits, alone.step(frames[2]).logits)


def test_it_works_on_stabilised_frames_and_what_is_found_is_carried_back(refiner, series):
    frames, masks = series
    sources = OutlineSource(0.5), NnunetSource(refiner, 80)
    session = chain_of(*sources, stabiliser=Stabiliser()).start(frames[0], masks[0])
    still, _ = stabilised_clip(frames, masks[:, None])
    inner = chain_of(*sources).start(still[0], masks[0])
    stage = Stabiliser().start(frames[0], StageClock())
    reference = stage.reference(stage.take(frames[0].copy(), 0), [])
    reference.watch(masks[0])
    for t, frame in enumerate(frames[1:], 1):
        reference.step(stage.take(frame.copy(), t))
        np.testing.assert_array_equal(reference.view.pixels, still[t])
        expected = reference.carried_back(inner.step(still[t]).logits)
        np.testing.assert_allclose(session.step(frame).logits, expected, atol=1e-4)
    assert (expected != inner.results[0].logits).any()


def test_a_heavy_outline_outweighs_nnunet(refiner, series):
    frames, masks = series
    outline = OutlineSource(1000.0)
    heavy, alone = (
        chain_of(*sources, stabiliser=Stabiliser()).start(frames[0], masks[0])
        for sources in ((outline, NnunetSource(refiner, 80)), (outline,))
    )
    for frame in frames[1:]:
        assert (heavy.step(frame).mask ^ alone.step(frame).mask).sum() <= 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"region_px": 10}, "region_px: expected a whole number, 64 or more .px., found 10"),
        ({"weight": 0.0}, "weight: expected a number, above 0, found 0.0"),
        ({"window": 1}, "window: expected 2 frames or more beside the outlined one, found 1"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        NnunetSourceSettings(**settings)


def create(model_folder, output, *options: str) -> int:
    command = ["bundle", "create", "--refiner", str(model_folder), "--folds", "0", "--tile-step-size", "0.5"]
    return main([*command, *options, "-o", str(output)])


def test_a_bundle_predicts_with_its_nnunet_as_a_source(model_folder, dataset, tmp_path):
    options = ["--tracker", "registration", "--refiner-region", "80", "--outline-weight", "2"]
    assert create(model_folder, tmp_path / "bundle", *options) == 0
    bundle = open_bundle(tmp_path / "bundle")
    assert bundle.method.sources == (
        OutlineSettings(2.0),
        NnunetSourceSettings(tile_step_size=0.5, region_px=80, weight=1.0),
    )
    assert bundle.method.stabilisation == Stabiliser()
    series = str(dataset / "A_001")
    for name, model in (("nnunet", bundle.folder), ("plain", REGISTRATION)):
        assert main(["predict", series, "-o", str(tmp_path / name), "--model", str(model)]) == 0
    written = {
        name: read_masks(tmp_path / name / "A_001/images/mri-linac-series-targets/output.mha")[0]
        for name in ("nnunet", "plain")
    }
    assert (written["nnunet"] != written["plain"]).any()
    record = json.loads((tmp_path / "nnunet/A_001/prediction.json").read_text())
    assert record["method"] == "stabilised frames, outline + nnunet, then fill_holes"
    assert record["seconds"]["stages"]["nnunet"] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tracker", "static", "--refiner-region", "80"], "sources: expected nnunet with stabilisation only"),
        (["--tracker", "registration", "--refiner-region", "10"], "region_px: expected a whole number, 64 or more"),
        (["--tracker", "static", "--outline-weight", "2"], "outline weight: expected stabilised frames with it"),
        (
            ["--tracker", "registration", "--refiner-region", "80", "--window", "1"],
            "window: expected 2 frames or more beside the outlined one, found 1",
        ),
        (
            ["--tracker", "registration", "--refiner-region", "80", "--outline-weight", "-1"],
            "weight: expected a number, above 0 (log-odds/px), found -1.0",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(model_folder, tmp_path, capsys, options, message):
    assert create(model_folder, tmp_path / "bundle", *options) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stabilisation": None}, "expected nnunet with stabilisation only, found it on frames as they are"),
        ({"sources": [{"kind": "nnunet"}]}, "expected an outline or SAM2 beside nnunet, found nnunet alone"),
    ],
)
def test_a_manifest_edited_to_what_it_cannot_run_is_refused(model_folder, tmp_path, change, message):
    assert create(model_folder, tmp_path / "bundle", "--tracker", "registration", "--refiner-region", "80") == 0
    path = tmp_path / "bundle/bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(BundleError, match=rf"bundle\.json: sources: {message}"):
        open_bundle(tmp_path / "bundle")
