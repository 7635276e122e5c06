"""bundle.json: verified, understood, or refused with the reason."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from cinetrack import load_tracker
from cinetrack.bundle import find_bundle, lookup, open_bundle
from cinetrack.bundle.assembly import create_bundle
from cinetrack.cli.main import main
from cinetrack.errors import BundleError, InputError
from cinetrack.tracking.motion_compensation import MotionCompensatedTracker, MotionCompensation
from cinetrack.tracking.region import RegionTracker
from cinetrack.tracking.evidence.sam2.tracker import Sam2Tracker

RESOURCES = Path(__file__).resolve().parents[2] / "resources"


@pytest.fixture
def bundle(tmp_path) -> Path:
    return Path(shutil.copytree(RESOURCES / "default", tmp_path / "bundle"))


def edit(bundle: Path, change) -> None:
    document = json.loads((bundle / "bundle.json").read_text())
    change(document)
    (bundle / "bundle.json").write_text(json.dumps(document))


@pytest.mark.parametrize("name", ["default", "registration", "static"])
def test_every_shipped_bundle_opens(name):
    assert open_bundle(RESOURCES / name).tracker.kind in ("sam2", "registration", "static")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(surprise=1), "found surprise"),
        (lambda d: d.pop("refiner"), "found no refiner"),
        (lambda d: d.update(name=""), "name"),
        (lambda d: d["tracker"].update(kind="magic"), "'magic'"),
        (lambda d: d["tracker"].update(speed=9), "speed"),
        (lambda d: d["tracker"].pop("checkpoint"), "checkpoint"),
        (lambda d: d["tracker"].update(checkpoint="../tracker.pt"), "inside the bundle"),
        (lambda d: d["tracker"].update(config="/etc/passwd"), "inside the bundle"),
        (lambda d: d["tracker"].update(config=7), "file name"),
        (lambda d: d["tracker"].update(region_px=9), "tracker.region_px: region: expected a side of 64 px or more"),
        (lambda d: d["tracker"].update(region_px=224.5), "tracker.region_px"),
        (lambda d: d["tracker"].update(motion_compensation=True), "tracker.motion_compensation: expected an object"),
        (lambda d: d["tracker"].update(motion_compensation={"outline_weight": "4"}), "expected a positive number"),
        (lambda d: d["tracker"].update(motion_compensation={"outline_weight": -1}), "expected a positive number"),
        (lambda d: d["files"].pop("tracker.pt"), "sha256 for tracker.pt"),
        (lambda d: d["files"].update({"tracker.pt": "abc"}), "64 hexadecimal"),
        (lambda d: d["files"].update({"gone.bin": "0" * 64}), "gone.bin.*found none"),
        (lambda d: d["files"].update({"tracker.pt": "0" * 64}), "tracker.pt: expected sha256 0000"),
        (lambda d: d.update(tracker={"kind": "registration", "finest_scale": "1"}), "whole number"),
        (lambda d: d.update(tracker={"kind": "registration", "patch_size_px": 0}), "patch_size_px: expected 4 to 16"),
        (lambda d: d.update(tracker={"kind": "registration", "window_percentiles": [5]}), "two numbers"),
        (lambda d: d.update(tracker={"kind": "registration", "window_percentiles": [99, 1]}), "low < high"),
        (lambda d: d.update(refiner={"folder": "r", "wings": 2}), "wings"),
        (lambda d: d.update(refiner={"folder": "r", "window": 0}), "window"),
        (lambda d: d.update(refiner={"folder": "r", "tile_step_size": 1.5}), "fraction"),
        (lambda d: d.update(refiner={"folder": "r", "mirroring": "yes"}), "true or false"),
        (lambda d: d.update(refiner={"folder": "r", "reach_px": "far"}), "0 pixels or more, found far"),
        (lambda d: d.update(refiner={"folder": "r", "confidence": True}), "below 1, found True"),
        (lambda d: d.update(refiner={"folder": "r", "folds": ["x"]}), "fold numbers"),
        (lambda d: d.update(refiner={"folder": "r", "folds": [0]}), "r/dataset.json"),
        (lambda d: d.update(refiner=[]), "object"),
        (lambda d: d.update(box_segmenter="snake"), "sam2, grabcut, random_walker, found 'snake'"),
        (lambda d: d.update(box_segmenter=["sam2"]), "box_segmenter"),
        (lambda d: d.update(tracker={"kind": "static"}, files={}, box_segmenter="sam2"), "with a static tracker"),
    ],
)
def test_a_manifest_that_cannot_be_trusted_is_refused(bundle, change, message):
    edit(bundle, change)
    with pytest.raises(BundleError, match=message):
        open_bundle(bundle)


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_a_manifest_that_is_no_json_object_is_refused(bundle, text):
    (bundle / "bundle.json").write_text(text)
    with pytest.raises(BundleError, match="bundle.json"):
        open_bundle(bundle)


@pytest.mark.parametrize(("name", "expected"), [("default", "grabcut"), ("registration", "grabcut")])
def test_a_bundle_without_published_sam2_turns_boxes_into_masks_with_grabcut(name, expected):
    assert open_bundle(RESOURCES / name).segmenter == expected


def test_a_bundle_names_its_box_segmenter(tmp_path):
    created = create_bundle(tmp_path / "walker", "registration", box_segmenter="random_walker")
    assert created.segmenter == open_bundle(tmp_path / "walker").segmenter == "random_walker"
    with pytest.raises(BundleError, match="found 'snake'"):
        create_bundle(tmp_path / "snake", "registration", box_segmenter="snake")


def test_the_command_line_names_the_box_segmenter(tmp_path, capsys):
    arguments = ["bundle", "create", "--tracker", "static", "--box-segmenter"]
    assert main([*arguments, "random_walker", "-o", str(tmp_path / "walker")]) == 0
    assert open_bundle(tmp_path / "walker").segmenter == "random_walker"
    assert main([*arguments, "sam2", "-o", str(tmp_path / "sam2")]) == 2
    assert "with a static tracker, found 'sam2'" in capsys.readouterr().err


def test_altered_weights_are_refused(bundle):
    content = bytearray((bundle / "tracker.pt").read_bytes())
    content[1000] ^= 1
    (bundle / "tracker.pt").write_bytes(content)
    with pytest.raises(BundleError, match="tracker.pt: expected sha256"):
        open_bundle(bundle)


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("model: {_target_: os.system, command: 'touch /tmp/pwned'}", "SAM2Base"),
        ("other: 1", "SAM2 `model`"),
        ("model: [1, 2", "expected a yaml, found something else"),
        ("model: ???", "SAM2 `model`"),
        ("model: {_target_: sam2.modeling.sam2_base.SAM2Base, image_encoder: {_target_: os.getcwd}}", "os.getcwd"),
        (
            "model: {_target_: sam2.modeling.sam2_base.SAM2Base, "
            "image_encoder: {_target_: sam2.modeling.sam2_base.torch.load}}",
            "torch.load",
        ),
        (
            "model: {_target_: sam2.modeling.sam2_base.SAM2Base, _args_: [1]}",
            "hydra option",
        ),
        ("model: {_target_: sam2.modeling.sam2_base.SAM2Base}", "one that fails"),
    ],
)
def test_a_configuration_runs_no_code_but_sam2s_modules(bundle, tmp_path, yaml, message):
    (tmp_path / "evil.yaml").write_text(yaml)
    with pytest.raises(BundleError, match=message):
        create_bundle(tmp_path / "new", str(bundle / "tracker.pt"), str(tmp_path / "evil.yaml"))
    assert not (tmp_path / "new").exists()


def test_weights_of_another_architecture_are_refused_with_the_first_differing_tensors(bundle, tmp_path):
    weights = torch.load(bundle / "tracker.pt", weights_only=True)["model"]
    weights["no_mem_embed"] = torch.zeros(1, 1, 64)
    weights["surplus"] = torch.zeros(1)
    del weights["maskmem_tpos_enc"]
    torch.save({"model": weights}, tmp_path / "w.pt")
    expected = r"without maskmem_tpos_enc.*unknown surplus.*no_mem_embed \(1, 1, 64\) instead of \(1, 1, 128\)"
    with pytest.raises(BundleError, match=expected):
        create_bundle(tmp_path / "new", str(tmp_path / "w.pt"), str(bundle / "tracker.yaml"))


def test_a_checkpoint_of_the_trainers_kind_drops_in(bundle, tmp_path):
    # SAM2's trainer keeps the optimiser and counters beside the weights.
    weights = torch.load(bundle / "tracker.pt", weights_only=True)["model"]
    extra = {
        "optimizer": {"state": {}, "param_groups": [{"lr": 1e-4}]},
        "epoch": 3,
        "steps": {"train": 7},
        "loss": None,
    }
    torch.save({"model": weights, **extra}, tmp_path / "checkpoint.pt")
    create_bundle(tmp_path / "new", str(tmp_path / "checkpoint.pt"), str(bundle / "tracker.yaml"), name="mine")
    opened = open_bundle(tmp_path / "new")
    assert opened.name == "mine" and load_tracker(opened).name == "sam2"


def test_a_region_goes_with_the_tracker_into_further_bundles_and_only_with_sam2(bundle, tmp_path, capsys):
    edit(bundle, lambda d: d["tracker"].pop("motion_compensation", None))
    create_bundle(tmp_path / "new", str(bundle), region_px=96)
    create_bundle(tmp_path / "copy", str(tmp_path / "new"))
    assert open_bundle(tmp_path / "copy").tracker.region_px == 96
    tracker = load_tracker(tmp_path / "copy")
    assert isinstance(tracker, RegionTracker) and tracker.name == "sam2"
    words = ["--tracker", "registration", "--region", "96", "-o", str(tmp_path / "other")]
    assert main(["bundle", "create", *words]) == 2
    assert "region: expected none with a registration tracker, found 96" in capsys.readouterr().err


def test_motion_compensation_goes_with_the_tracker_into_further_bundles_and_only_with_sam2(bundle, tmp_path, capsys):
    words = ["--tracker", str(bundle), "--region", "96", "--motion-compensation", "--outline-weight", "4"]
    assert main(["bundle", "create", *words, "-o", str(tmp_path / "new")]) == 0
    create_bundle(tmp_path / "copy", str(tmp_path / "new"))
    assert open_bundle(tmp_path / "copy").tracker.motion_compensation == MotionCompensation(4.0)
    tracker = load_tracker(tmp_path / "copy")
    assert isinstance(tracker, MotionCompensatedTracker) and isinstance(tracker.inner, RegionTracker)
    words = ["--tracker", "static", "--motion-compensation", "-o", str(tmp_path / "other")]
    assert main(["bundle", "create", *words]) == 2
    assert "motion compensation: expected none with a static tracker" in capsys.readouterr().err
    words = ["--tracker", str(bundle), "--outline-weight", "4", "-o", str(tmp_path / "other")]
    assert main(["bundle", "create", *words]) == 2
    assert "--outline-weight 4.0: expected --motion-compensation with it" in capsys.readouterr().err


def test_without_a_region_whole_frames_are_tracked(bundle, tmp_path):
    edit(bundle, lambda d: [d["tracker"].pop(key, None) for key in ("region_px", "motion_compensation")])
    create_bundle(tmp_path / "new", str(bundle))
    written = (tmp_path / "new/bundle.json").read_text()
    assert "region_px" not in written and "motion_compensation" not in written
    assert isinstance(load_tracker(tmp_path / "new"), Sam2Tracker)


@pytest.mark.slow
def test_metas_published_file_name_is_enough(tmp_path):
    from cinetrack.tracking.evidence.sam2.architecture import build_network

    checkpoint = tmp_path / "sam2.1_hiera_small.pt"
    torch.save({"model": build_network("sam2.1_hiera_s.yaml", tmp_path).state_dict()}, checkpoint)
    create_bundle(tmp_path / "small", str(checkpoint))
    opened = open_bundle(tmp_path / "small")
    assert opened.tracker.config == "sam2.1_hiera_s.yaml" and opened.segmenter == "sam2"


def test_an_unknown_checkpoint_name_asks_for_its_configuration(bundle, tmp_path):
    with pytest.raises(InputError, match="--tracker-config"):
        create_bundle(tmp_path / "new", str(bundle / "tracker.pt"))


def test_a_taken_folder_is_left_alone(bundle):
    before = sorted(bundle.iterdir())
    with pytest.raises(InputError, match="new or empty folder"):
        create_bundle(bundle, "static")
    assert sorted(bundle.iterdir()) == before


def test_the_bundle_asked_for_comes_before_the_platforms_and_that_before_the_default(bundle, tmp_path, monkeypatch):
    platform = tmp_path / "model"
    monkeypatch.setattr(lookup, "PLATFORM_FOLDER", platform)
    assert find_bundle().folder == lookup.DEFAULT_FOLDER
    platform.mkdir()
    assert find_bundle().folder == lookup.DEFAULT_FOLDER  # mounted, but holds no bundle
    shutil.copy(RESOURCES / "static/bundle.json", platform)
    assert find_bundle().folder == platform
    assert find_bundle(bundle).folder == bundle
    (platform / "bundle.json").write_text("{")
    with pytest.raises(BundleError):  # a faulty upload must not silently run another model
        find_bundle()
