"""A bundle with a refiner, from nnU-Net's folder to the platform's output."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from cinetrack.bundle import open_bundle
from cinetrack.cli.main import main
from cinetrack.errors import BundleError
from cinetrack.pipeline.model import load_model
from cinetrack.pipeline.track_case import track_whole
from cinetrack.sequence import find_cases
from cinetrack.sequence.image_files import read_masks
from cinetrack.tracking.postprocessing.fill_holes import FillHolesSettings, fill_holes
from cinetrack.tracking.postprocessing.nnunet_redraw import NnunetRedrawSettings


@pytest.fixture(scope="module")
def refined_bundle(model_folder, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "refined"
    create = ["bundle", "create", "--tracker", "registration", "--refiner", str(model_folder), "-o", str(folder)]
    assert main([*create, "--folds", "0,1", "--tile-step-size", "0.5", "--mirroring", "off"]) == 0
    return folder


def test_a_created_bundle_holds_what_it_was_told_and_only_needed_files(refined_bundle):
    redraw = NnunetRedrawSettings(folds=(0, 1), window=5, tile_step_size=0.5, mirroring=False)
    assert open_bundle(refined_bundle).method.postprocessing == (redraw, FillHolesSettings())
    files = {str(p.relative_to(refined_bundle)) for p in refined_bundle.rglob("*") if p.is_file()}
    inner = ["dataset.json", "plans.json", "fold_0/checkpoint_final.pth", "fold_1/checkpoint_final.pth"]
    assert files == {"bundle.json", *(f"refiner/{name}" for name in inner)}


def test_predict_writes_the_refined_and_filled_masks(refined_bundle, dataset, tmp_path):
    assert main(["predict", str(dataset / "A_001"), "-o", str(tmp_path), "--model", str(refined_bundle)]) == 0
    record = json.loads((tmp_path / "A_001/prediction.json").read_text())
    assert record["method"] == "stabilised frames, outline, then nnunet, then fill_holes"
    assert record["seconds"]["stages"]["nnunet redraw"] > 0
    written, _ = read_masks(tmp_path / "A_001/images/mri-linac-series-targets/output.mha")

    case = find_cases(dataset)[0].read_case().case
    bundle = open_bundle(refined_bundle)
    tracker = dataclasses.replace(bundle.method.tracker(), postprocessing=())
    tracked = track_whole(case, load_model(bundle, "cpu", tracker).chain).masks
    assert bundle.method.nnunet is not None
    refiner = bundle.method.nnunet.load_refiner(bundle.folder, "cpu")
    session = refiner.start(case.sequence.frames[0], case.first_mask, case.sequence.spacing_mm)
    expected = [case.first_mask]
    for frame, mask in zip(case.sequence.frames[1:], tracked[1:], strict=True):
        expected.append(fill_holes(session.step(frame, mask)))
    np.testing.assert_array_equal(written, np.stack(expected))
    assert (written != tracked).any()  # random weights redraw the mask; the refiner was not passed over


def test_a_refiner_for_another_window_is_refused_when_the_bundle_is_made(model_folder, tmp_path, capsys):
    create = ["bundle", "create", "--tracker", "static", "--refiner", str(model_folder), "-o", str(tmp_path / "b")]
    assert main([*create, "--window", "10"]) == 2
    assert "10" in capsys.readouterr().err and not (tmp_path / "b").exists()
    assert main([*create, "--folds", "4"]) == 2
    assert "fold_4/checkpoint_final.pth" in capsys.readouterr().err


def test_altered_refiner_weights_are_refused(refined_bundle, tmp_path):
    copy = Path(shutil.copytree(refined_bundle, tmp_path / "copy"))
    (copy / "refiner/plans.json").write_text("{}")
    with pytest.raises(BundleError, match="plans.json: expected sha256"):
        open_bundle(copy)
