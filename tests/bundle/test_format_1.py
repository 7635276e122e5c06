"""Bundles from before the method was one chain still open, and mean what they meant."""

from __future__ import annotations

import copy
import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from cinetrack import load_model
from cinetrack.bundle import open_bundle
from cinetrack.bundle.checksum import sha256_of
from cinetrack.errors import BundleError
from cinetrack.tracking.evidence.nnunet import NnunetSourceSettings
from cinetrack.tracking.evidence.outline import OutlineSettings
from cinetrack.tracking.evidence.sam2 import Sam2Settings
from cinetrack.tracking.postprocessing.fill_holes import FillHolesSettings
from cinetrack.tracking.postprocessing.nnunet_redraw import NnunetRedrawSettings
from cinetrack.tracking.stabilisation import Stabiliser

RESOURCES = Path(__file__).resolve().parents[2] / "resources"
REGISTRATION = {
    "kind": "registration",
    "finest_scale": 1,
    "patch_size_px": 8,
    "patch_stride_px": 3,
    "gradient_descent_iterations": 25,
    "variational_refinement_iterations": 5,
    "window_percentiles": [0.5, 99.5],
}
# The manifests that were shipped, without their checksums.
SHIPPED = {
    "default": {
        "name": "sam2-phantom",
        "tracker": {
            "kind": "sam2",
            "config": "tracker.yaml",
            "checkpoint": "tracker.pt",
            "region_px": 80,
            "motion_compensation": {"outline_weight": 4.0},
        },
        "refiner": {
            "folder": "refiner",
            "folds": ["all"],
            "checkpoint": "checkpoint_final.pth",
            "window": 5,
            "tile_step_size": 0.5,
            "mirroring": False,
            "reach_px": 8.0,
            "region_px": 96,
            "outline_weight": 3.0,
            "tracker_weight": 1.0,
            "presets": {"mirrored": {"tile_step_size": 0.5, "mirroring": True}},
        },
    },
    "registration": {"name": "registration", "tracker": REGISTRATION, "refiner": None},
    "static": {"name": "static", "tracker": {"kind": "static"}, "refiner": None},
}
SAM2 = {"kind": "sam2", "config": "tracker.yaml", "checkpoint": "tracker.pt"}
PAPER = {
    "name": "paper",
    "tracker": SAM2,
    "refiner": {
        "folder": "refiner",
        "folds": ["all"],
        "window": 5,
        "tile_step_size": 0.5,
        "mirroring": False,
        "reach_px": 8.0,
        "confidence": 0.7,
        "presets": {"slow": {"tile_step_size": 0.05, "mirroring": True}},
    },
    "box_segmenter": "random_walker",
}


@pytest.fixture
def old(tmp_path):
    """A function that gives a bundle's folder, with the default's files, of a manifest of format 1."""
    folder = tmp_path / "old"

    def make(manifest: dict, change=lambda manifest: None) -> Path:
        if not folder.exists():
            shutil.copytree(RESOURCES / "default", folder)
        document = copy.deepcopy(manifest)
        names = [
            "tracker.pt",
            "tracker.yaml",
            *(str(path.relative_to(folder)) for path in folder.glob("refiner/**/*.*")),
        ]
        document["files"] = {name: sha256_of(folder / name) for name in names}
        change(document)
        (folder / "bundle.json").write_text(json.dumps(document))
        return folder

    return make


@pytest.mark.parametrize("name", SHIPPED)
def test_the_manifests_that_were_shipped_mean_the_bundles_that_are(name, old, caplog):
    with caplog.at_level(logging.WARNING):
        bundle = open_bundle(old(SHIPPED[name]))
    shipped = open_bundle(RESOURCES / name)
    assert bundle.method == shipped.method and bundle.name == shipped.name
    assert not caplog.records  # nothing was passed over that could change a mask


def test_the_papers_chain_is_the_papers_chain_and_says_what_it_no_longer_heeds(old, caplog):
    with caplog.at_level(logging.WARNING):
        bundle = open_bundle(old(PAPER))
    method = bundle.method
    assert method.sources == (Sam2Settings("tracker.yaml", "tracker.pt"),) and method.stabilisation is None
    redraw = NnunetRedrawSettings("refiner", ("all",), "checkpoint_final.pth", 5, 0.5, False)
    assert method.postprocessing == (redraw, FillHolesSettings())
    assert bundle.segmenter == "random_walker"
    said = " ".join(record.getMessage() for record in caplog.records)
    assert len(caplog.records) == 2 and "reach_px: 8.0 px" in said and "confidence: 0.7" in said


def test_an_old_bundle_tracks_as_the_same_method_made_today(paper_bundle, tmp_path, drifting_disc_case):
    folder = Path(shutil.copytree(paper_bundle, tmp_path / "old"))
    files = json.loads((folder / "bundle.json").read_text())["files"]
    (folder / "bundle.json").write_text(json.dumps({**PAPER, "files": files}))
    case = drifting_disc_case
    today, old = (load_model(place, "cpu").track(case) for place in (paper_bundle, folder))
    for ours, theirs in zip(today, old, strict=True):
        np.testing.assert_array_equal(ours.mask, theirs.mask)


@pytest.fixture
def drifting_disc_case(tracking_case):
    """The first frames of the tests' case."""
    sequence = tracking_case.sequence
    short = type(sequence)(sequence.frames[:4], sequence.spacing_mm, 4.0, 0.35, "abdomen")
    return type(tracking_case)("short", short, tracking_case.first_mask)


def refiner(**settings):
    return {"folder": "refiner", "folds": ["all"], **settings}


@pytest.mark.parametrize(
    ("tracker", "added", "stabilisation", "sources"),
    [
        ({**SAM2, "region_px": 96}, None, None, (Sam2Settings("tracker.yaml", "tracker.pt", 96),)),
        (
            {**SAM2, "region_px": 96, "motion_compensation": {}},
            None,
            Stabiliser(),
            (Sam2Settings("tracker.yaml", "tracker.pt", 96),),
        ),
        (
            {**SAM2, "motion_compensation": {"outline_weight": 4.0}},
            None,
            Stabiliser(),
            (OutlineSettings(4.0), Sam2Settings("tracker.yaml", "tracker.pt")),
        ),
        ({"kind": "registration"}, None, Stabiliser(("flexible",)), (OutlineSettings(),)),
        (
            {
                "kind": "registration",
                "patch_size_px": 10,
                "patch_stride_px": 4,
                "smoothness_weight": 40.0,
                "gradient_constancy_weight": 20.0,
            },
            None,
            Stabiliser(("smooth",)),
            (OutlineSettings(),),
        ),
        (
            {"kind": "registration"},
            refiner(region_px=96, outline_weight=2.0),
            Stabiliser(),
            (OutlineSettings(2.0), NnunetSourceSettings(folds=("all",), region_px=96)),
        ),
        (
            {**SAM2, "motion_compensation": {"outline_weight": 4.0}},
            refiner(region_px=96, outline_weight=3.0, tracker_weight=0.5),
            Stabiliser(),
            (
                OutlineSettings(3.0),
                Sam2Settings("tracker.yaml", "tracker.pt", weight=0.5),
                NnunetSourceSettings(folds=("all",), region_px=96),
            ),
        ),
    ],
)
def test_every_tracker_of_format_1_has_its_sources(old, tracker, added, stabilisation, sources):
    method = open_bundle(old({"name": "old", "tracker": tracker, "refiner": added})).method
    assert (method.stabilisation, method.sources) == (stabilisation, sources)


@pytest.mark.parametrize(
    ("reach_px", "confidence", "warned"),
    [(None, 0.5, 0), (8.0, 0.5, 0), (4.0, 0.5, 1), (None, 0.6, 1), (4.0, 0.6, 2)],
)
def test_only_what_could_change_a_mask_is_warned_of(reach_px, confidence, warned, old, caplog):
    """Beside an outline of weight 3 a refiner that may say 24 can change a mask by 8 px, with or without that reach."""

    def change(document):
        document["refiner"].update(reach_px=reach_px, confidence=confidence)

    with caplog.at_level(logging.WARNING):
        open_bundle(old(SHIPPED["default"], change))
    assert len(caplog.records) == warned


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(surprise=1), "found surprise"),
        (lambda d: d.pop("refiner"), "found no refiner"),
        (lambda d: d.update(name=""), "name: expected a non-empty string"),
        (lambda d: d.update(tracker="sam2"), "tracker.kind: expected one of sam2, registration, static, found None"),
        (lambda d: d["tracker"].update(kind="magic"), "'magic'"),
        (lambda d: d["tracker"].update(speed=9), "speed"),
        (lambda d: d["tracker"].pop("checkpoint"), "found no checkpoint"),
        (lambda d: d["tracker"].update(checkpoint="../tracker.pt"), "inside the bundle"),
        (lambda d: d["tracker"].update(region_px=9), "region_px: expected a whole number, 64 or more"),
        (lambda d: d["tracker"].update(motion_compensation=True), "tracker.motion_compensation: expected an object"),
        (lambda d: d["tracker"].update(motion_compensation={"speed": 1}), "found speed"),
        (lambda d: d["tracker"].pop("motion_compensation"), "refiner.region_px: expected none with sam2 on frames as"),
        (lambda d: d.update(tracker={"kind": "static"}), "refiner.region_px: expected none with static on frames as"),
        (
            lambda d: d.update(tracker={"kind": "registration", "finest_scale": 2}),
            "tracker: expected the settings of the flow flexible or smooth, found {'finest_scale': 2}",
        ),
        (lambda d: d.update(refiner=[]), "refiner: expected an object"),
        (lambda d: d["refiner"].update(wings=2), "wings"),
        (lambda d: d["refiner"].update(outline_weight="4"), "weight: expected a number, above 0 .*found '4'"),
        (lambda d: d["refiner"].update(tracker_weight=0), "weight: expected a number, above 0, found 0"),
        (lambda d: d["refiner"].update(reach_px="far", outline_weight=-1), "weight: expected a number, above 0"),
        (lambda d: d["refiner"].update(window=1), "window: expected 2 frames or more"),
        (lambda d: d["files"].pop("tracker.pt"), "sha256 for tracker.pt"),
        (lambda d: d.update(box_segmenter="snake"), "found 'snake'"),
    ],
)
def test_what_format_1_did_not_allow_is_refused_today(change, message, old):
    with pytest.raises(BundleError, match=message):
        open_bundle(old(SHIPPED["default"], change))
