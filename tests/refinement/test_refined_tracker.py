"""A refiner within motion compensation: on stilled frames, in the target's surroundings, beside the prompted frame."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from nnunet_model_folder import drifting_disc

from cinetrack.bundle import open_bundle
from cinetrack.cli.main import main
from cinetrack.errors import BundleError, InputError
from cinetrack.pipeline.model import load_model
from cinetrack.refinement import RefinedTracker, Refiner, refined_in_place
from cinetrack.refinement.refiner import CERTAIN
from cinetrack.refinement.window import FrameWindow
from cinetrack.refiner_training.recorded_tracker import RecordedTracker
from cinetrack.sequence.image_files import read_masks
from cinetrack.tracking import MaskPrompt
from cinetrack.tracking.motion_compensation import MotionCompensatedTracker, MotionCompensation, stilled_clip
from cinetrack.tracking.region import Region
from cinetrack.tracking.registration import RegistrationTracker
from cinetrack.tracking.static import StaticTracker

SIZE = (150, 130)
REGISTRATION = Path(__file__).resolve().parents[2] / "resources/registration"


@pytest.fixture(scope="module")
def refiner(model_folder) -> Refiner:
    return Refiner.load(model_folder, tile_step_size=0.5, mirroring=False, reach_px=6, device=torch.device("cpu"))


@pytest.fixture(scope="module")
def series() -> tuple[np.ndarray, np.ndarray]:
    return drifting_disc(7, SIZE)


def test_log_odds_are_those_of_the_refiners_own_mask(refiner, series):
    frames, masks = series
    labelling, weighing = (refiner.start(frames[0], masks[0]) for _ in range(2))
    for frame, mask in zip(frames[1:], masks[1:]):
        odds = weighing.log_odds(frame, mask)
        np.testing.assert_array_equal(odds > 0, labelling.step(frame, mask))
        assert np.abs(odds).max() <= CERTAIN and len(np.unique(odds)) > 100


def test_log_odds_of_a_lost_target_are_certain_that_there_is_none(refiner, series):
    frames, masks = series
    odds = refiner.start(frames[0], masks[0]).log_odds(frames[1], np.zeros_like(masks[1]))
    assert (odds == -CERTAIN).all()


def test_each_target_is_refined_in_its_own_region_beside_the_frame_it_was_outlined_on(refiner, series):
    frames, masks = series
    targets = [masks[0], np.roll(masks[0], 20, axis=1)]
    session = RefinedTracker(StaticTracker(), refiner, 80).start(frames[0], targets)
    regions = [Region.around(MaskPrompt(target), 80, SIZE) for target in targets]
    for t in range(1, 7):
        session.step(frames[t])
        for target, region, result in zip(targets, regions, session.results):
            window = FrameWindow(5, region.cut(frames[0]), region.cut(target), keep_first=True)
            for earlier in range(1, t + 1):
                window.append(region.cut(frames[earlier]), region.cut(target))
            near = result.logits[region.rows, region.columns] != np.where(region.cut(target), CERTAIN, -CERTAIN)
            expected = np.where(near, refiner.labels(window.channels()) > 0, region.cut(target))
            np.testing.assert_array_equal(region.cut(result.mask), expected)
            assert near.any() and (result.mask != target).any()


def test_where_the_refiner_sees_no_target_the_trackers_mask_stands(refiner, series, monkeypatch):
    frames, masks = series
    monkeypatch.setattr(Refiner, "probability", lambda self, channels, *_: np.full(channels.shape[1:], 0.1, np.float32))
    monkeypatch.setattr(refiner, "reach_px", None)
    session = RefinedTracker(StaticTracker(), refiner, 80).start(frames[0], masks[0])
    np.testing.assert_array_equal(session.step(frames[1]).mask, masks[0])


@pytest.mark.parametrize("weight", [None, 0.5])
@pytest.mark.parametrize("edge", [np.s_[:3, 40:60], np.s_[-3:, 40:60], np.s_[40:60, :3], np.s_[40:60, -3:]])
def test_a_target_cut_by_the_frames_border_is_not_refined(refiner, series, edge, weight):
    frames, _ = series
    cut = np.zeros(SIZE, bool)
    cut[edge] = True
    session = RefinedTracker(StaticTracker(), refiner, 80, weight).start(frames[0], cut)
    np.testing.assert_array_equal(session.step(frames[1]).mask, cut)


def test_side_by_side_the_refiner_is_shown_the_outline_and_both_log_odds_add_up(refiner, series):
    frames, masks = series
    moving = RecordedTracker("moving", masks)
    both = RefinedTracker(moving, refiner, 80, 0.5).start(frames[0], masks[0])
    alone = RefinedTracker(StaticTracker(), refiner, 80).start(frames[0], masks[0])
    region = Region.around(MaskPrompt(masks[0]), 80, SIZE)
    for frame, mask in zip(frames[1:], masks[1:]):
        together, refined = both.step(frame).logits, alone.step(frame).logits
        recorded = np.where(mask, 1.0, -1.0)
        np.testing.assert_allclose(region.cut(together), region.cut(refined + 0.5 * recorded), atol=1e-6)


def test_side_by_side_an_absent_target_counts_for_nothing(refiner, series):
    frames, masks = series

    class Absent(StaticTracker):
        def start(self, *arguments):
            session = super().start(*arguments)
            step = session.step
            session.step = lambda frame: setattr(
                session, "results", [replace(step(frame), logits=np.full(SIZE, -1024.0), object_score=-1.0)]
            )
            return session

    both = RefinedTracker(Absent(), refiner, 80, 0.5).start(frames[0], masks[0])
    alone = RefinedTracker(StaticTracker(), refiner, 80).start(frames[0], masks[0])
    for frame in frames[1:]:
        np.testing.assert_array_equal(both.step(frame).logits, alone.step(frame).logits)


def test_a_corrected_target_is_refined_beside_the_corrected_frame(refiner, series):
    frames, masks = series
    session = RefinedTracker(StaticTracker(), refiner, 80).start(frames[0], masks[0])
    session.step(frames[1])
    session.correct(MaskPrompt(masks[3]))
    np.testing.assert_array_equal(session.results[0].mask, masks[3])
    fresh = RefinedTracker(StaticTracker(), refiner, 80).start(frames[1], masks[3])
    np.testing.assert_array_equal(session.step(frames[2]).mask, fresh.step(frames[2]).mask)


def test_a_copied_session_goes_on_by_itself(refiner, series):
    frames, masks = series
    session = RefinedTracker(StaticTracker(), refiner, 80).start(frames[0], masks[0])
    session.step(frames[1])
    twin = session.copy()
    for frame in frames[5:]:
        twin.step(frame)
    straight = RefinedTracker(StaticTracker(), refiner, 80).start(frames[0], masks[0])
    for frame in frames[1:4]:
        straight.step(frame)
    session.step(frames[2])
    np.testing.assert_array_equal(session.step(frames[3]).logits, straight.results[0].logits)


def test_a_target_added_later_is_tracked_like_one_alone(refiner, series):
    frames, masks = series
    session = RefinedTracker(StaticTracker(), refiner, 80).start(frames[0], masks[0])
    session.step(frames[1])
    session.add_target(MaskPrompt(masks[1]))
    session.step(frames[2])
    alone = RefinedTracker(StaticTracker(), refiner, 80).start(frames[1], masks[1])
    np.testing.assert_array_equal(session.results[1].logits, alone.step(frames[2]).logits)


def test_registration_with_a_refiner_in_place_is_that_refiner_on_stilled_frames_carried_back(refiner, series):
    """Without an outline's weight, and by the same two steps as every motion-compensated tracker."""
    frames, masks = series
    tracker = refined_in_place(RegistrationTracker(), refiner, 80, None)
    assert tracker.name == "registration"
    session = tracker.start(frames[0], masks[0])
    by_hand = MotionCompensatedTracker(RefinedTracker(StaticTracker(), refiner, 80)).start(frames[0], masks[0])
    still, _ = stilled_clip(frames, masks[:, None])
    inner = RefinedTracker(StaticTracker(), refiner, 80).start(still[0], masks[0])
    for frame, stilled in zip(frames[1:], still[1:]):
        np.testing.assert_array_equal(session.step(frame).mask, by_hand.step(frame).mask)
        inner.step(stilled)
        group = by_hand._groups[0]
        np.testing.assert_array_equal(group.session.results[0].logits, inner.results[0].logits)


def test_a_heavy_outline_outweighs_the_refiner(refiner, series):
    frames, masks = series
    outline = MotionCompensatedTracker(StaticTracker(), MotionCompensation(1000.0))
    heavy, outline = (
        tracker.start(frames[0], masks[0])
        for tracker in (refined_in_place(RegistrationTracker(), refiner, 80, 1000.0), outline)
    )
    for frame in frames[1:]:
        assert (heavy.step(frame).mask ^ outline.step(frame).mask).sum() <= 2


def test_a_tracker_without_motion_compensation_is_refused(refiner):
    with pytest.raises(InputError, match="expected registration, or SAM2 with motion compensation, found static"):
        refined_in_place(StaticTracker(), refiner, 80, None)
    with pytest.raises(InputError, match="expected a side of 64 px or more, found 10"):
        RefinedTracker(StaticTracker(), refiner, 10)


def create(model_folder, output, *options: str) -> int:
    command = ["bundle", "create", "--refiner", str(model_folder), "--folds", "0", "--tile-step-size", "0.5"]
    return main([*command, *options, "-o", str(output)])


def test_a_bundle_predicts_with_its_refiner_in_place(model_folder, dataset, tmp_path):
    options = ["--tracker", "registration", "--refiner-region", "80", "--refiner-outline-weight", "2", "--reach", "6"]
    options += ["--refiner-tracker-weight", "0.5"]
    assert create(model_folder, tmp_path / "bundle", *options, "--preset", "fast=1,no-mirroring") == 0
    bundle = open_bundle(tmp_path / "bundle")
    assert (bundle.refiner.region_px, bundle.refiner.outline_weight, bundle.refiner.tracker_weight) == (80, 2.0, 0.5)
    model = load_model(bundle, "cpu")
    assert model.refiner is None and model.tracker.settings == MotionCompensation(2.0)
    series = str(dataset / "A_001")
    for name, settings in (("default", []), ("fast", ["--refiner-settings", "fast"])):
        arguments = ["predict", series, "-o", str(tmp_path / name), "--model", str(bundle.folder), *settings]
        assert main(arguments) == 0
    assert main(["predict", series, "-o", str(tmp_path / "plain"), "--model", str(REGISTRATION)]) == 0
    written = {
        name: read_masks(tmp_path / name / "A_001/images/mri-linac-series-targets/output.mha")[0]
        for name in ("default", "fast", "plain")
    }
    assert (written["default"] != written["plain"]).any() and (written["default"] != written["fast"]).any()
    assert json.loads((tmp_path / "default/A_001/prediction.json").read_text())["refiner"] is True


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tracker", "static", "--refiner-region", "80"], "refiner.region_px: tracker: expected registration, or"),
        (["--tracker", "registration", "--refiner-region", "10"], "refiner: region: expected a side of 64 px or more"),
        (["--tracker", "registration", "--refiner-outline-weight", "2"], "expected none without region_px, found 2.0"),
        (["--tracker", "registration", "--refiner-tracker-weight", "2"], "expected none without region_px, found 2.0"),
        (
            ["--tracker", "registration", "--refiner-region", "80", "--refiner-tracker-weight", "0"],
            "refiner: tracker weight: expected a positive number, found 0.0",
        ),
        (
            ["--tracker", "registration", "--refiner-region", "80", "--confidence", "0.7"],
            "refiner.confidence: expected 0.5 with region_px, found 0.7",
        ),
        (
            ["--tracker", "registration", "--refiner-region", "80", "--window", "1"],
            "refiner.window: expected 2 frames or more with region_px, found 1",
        ),
        (
            ["--tracker", "registration", "--refiner-region", "80", "--refiner-outline-weight", "-1"],
            "refiner: outline weight: expected a positive number, found -1.0",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(model_folder, tmp_path, capsys, options, message):
    assert create(model_folder, tmp_path / "bundle", *options) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "bundle").exists()


def test_a_manifest_edited_to_a_tracker_that_stands_still_is_refused(model_folder, tmp_path):
    assert create(model_folder, tmp_path / "bundle", "--tracker", "registration", "--refiner-region", "80") == 0
    path = tmp_path / "bundle/bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "tracker": {"kind": "static"}}))
    with pytest.raises(BundleError, match=r"bundle\.json: refiner\.region_px: tracker: expected registration"):
        load_model(open_bundle(tmp_path / "bundle"), "cpu")
