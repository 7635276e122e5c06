"""`cinetrack refiner crossvalidate`: held-out patients only, through the pipeline, chosen by the rule."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from disc_dataset import PATIENTS, RESOURCES

from cinetrack.bundle import open_bundle
from cinetrack.cli.main import main
from cinetrack.errors import InputError
from cinetrack.evaluation.metric_names import ACCURACY
from cinetrack.evaluation.metrics_file import MetricsFile, read_metrics
from cinetrack.pipeline.model import load_model
from cinetrack.pipeline.track_case import track_whole
from cinetrack.refiner_training import trained_model
from cinetrack.refiner_training.cross_validation import (
    Validation,
    rank_candidates,
    ranking_document,
)
from cinetrack.refiner_training.patient_folds import read_folds
from cinetrack.refiner_training.trained_model import RefinerSettings
from cinetrack.sequence import find_cases
from cinetrack.sequence.image_files import read_masks
from cinetrack.tracking.postprocessing.nnunet_redraw import NnunetRedrawSettings

OUTPUT = "images/mri-linac-series-targets/output.mha"


def crossvalidate(trained, discs, output, *options: str) -> int:
    command = ["refiner", "crossvalidate", str(trained.raw_root), "--data", str(discs), "--device", "cpu"]
    return main([*command, "--workers", "1", "-o", str(output), *options])


@pytest.fixture(scope="module")
def validated(trained, discs, tmp_path_factory):
    output = tmp_path_factory.mktemp("validated")
    assert crossvalidate(trained, discs, output, "--tile-step-size", "0.5", "1", "--mirroring", "off") == 0
    return output


def folds_of(trained):
    return read_folds(trained.raw / "folds.json", set(PATIENTS))


def test_each_fold_is_judged_on_the_patients_it_holds_out_and_no_other(validated, trained):
    for tracker in ("registration", "static"):
        assert {path.name for path in (validated / tracker).glob("fold_*")} == {"fold_0", "fold_1"}  # those trained
        for fold in (0, 1):
            for model in ("tracker", "final_step_0.5_no_mirroring", "final_step_1_no_mirroring"):
                folder = validated / tracker / f"fold_{fold}" / model
                assert set(read_metrics(folder / "metrics.json").results) == set(folds_of(trained)[fold])
                assert {path.parent.name for path in folder.glob("*/prediction.json")} == set(folds_of(trained)[fold])


def test_predictions_are_those_of_a_bundle_of_the_folds_model(validated, trained, discs, tmp_path):
    options = [
        "--tracker",
        str(RESOURCES / "registration"),
        "--folds",
        "1",
        "--tile-step-size",
        "0.5",
        "--mirroring",
        "off",
    ]
    assert main(["refiner", "bundle", str(trained.raw_root), *options, "-o", str(tmp_path / "bundle")]) == 0
    refined, alone = (
        load_model(open_bundle(path), "cpu") for path in (tmp_path / "bundle", RESOURCES / "registration")
    )
    folder = validated / "registration/fold_1"
    for case in find_cases(discs):
        if case.case_id in folds_of(trained)[1]:
            loaded = case.read_case().case
            for name, model in (("final_step_0.5_no_mirroring", refined), ("tracker", alone)):
                written, _ = read_masks(folder / name / case.case_id / OUTPUT)
                np.testing.assert_array_equal(written, track_whole(loaded, model.chain).masks)


def test_the_tables_have_every_held_out_case_once_and_a_change_in_percent(validated, trained):
    held_out = sum(len(fold) for fold in folds_of(trained)[:2])
    for tracker in ("registration", "static"):
        table = (validated / tracker / "comparison.md").read_text()
        assert f"### Means over {held_out} cases" in table
        assert "| tracker |" in table and "| final, step 0.5, no mirroring |" in table and "| change |" in table
        for suffix in ("csv", "tex"):
            assert (validated / tracker / f"comparison.{suffix}").stat().st_size > 0


def test_the_metrics_of_all_folds_lie_beside_the_folds_and_can_be_compared(validated, trained, capsys):
    held_out = [case for fold in folds_of(trained)[:2] for case in fold]
    for name in ("tracker", "final_step_0.5_no_mirroring"):
        pooled = json.loads((validated / "registration/all_folds" / name / "metrics.json").read_text())
        assert [row["case_id"] for row in pooled["results"]] == sorted(held_out)
        rows = {row["case_id"]: row for row in pooled["results"]}
        for fold in (0, 1):
            of_fold = json.loads((validated / f"registration/fold_{fold}" / name / "metrics.json").read_text())
            assert of_fold.keys() == pooled.keys()
            for row in of_fold["results"]:
                assert row == rows[row["case_id"]]
        assert pooled["cinetrack"]["by_region"].keys() == {"abdomen", "thorax"}
    files = [str(validated / "registration/all_folds" / name / "metrics.json") for name in ("tracker", name)]
    assert main(["compare", *files]) == 0
    assert f"Means over {len(held_out)} cases" in capsys.readouterr().out


def test_without_options_it_judges_the_bundle_that_is_made_without_options(trained, discs, tmp_path, monkeypatch):
    made = []

    def note(output: Path, tracker: str, **settings):
        made.append({key: value for key, value in settings.items() if key not in ("refiner_folder", "name")})
        raise InputError("noted")

    monkeypatch.setattr(trained_model, "create_bundle", note)
    assert crossvalidate(trained, discs, tmp_path / "cv", "--folds", "1", "--tracker", "static") == 2
    options = ["--tracker", str(RESOURCES / "static"), "--folds", "1", "-o", str(tmp_path / "bundle")]
    assert main(["refiner", "bundle", str(trained.raw_root), *options]) == 2
    judged, bundled = made
    assert judged == bundled == {"outline_weight": None, "refiner": NnunetRedrawSettings(folds=(1,))}
    assert judged["refiner"].tile_step_size == 0.05


def test_a_trackers_bundle_that_has_moved_is_asked_for(trained, discs, tmp_path, capsys):
    raw = Path(shutil.copytree(trained.raw_root, tmp_path / "nnUNet_raw"))
    for path in (raw / trained.name / "tracked/static").glob("*.json"):
        record = json.loads(path.read_text())
        path.write_text(json.dumps({**record, "bundle_folder": str(tmp_path / "gone")}))
    places = ["--preprocessed", str(trained.preprocessed_root), "--results", str(trained.results_root)]
    options = ["--folds", "0", "--tracker", "static", "--tile-step-size", "1", "--mirroring", "off"]
    command = ["refiner", "crossvalidate", str(raw), "--data", str(discs), "-o", str(tmp_path / "cv"), *places]
    assert main([*command, *options, "--device", "cpu"]) == 2
    assert "expected the bundle static with which static was prepared" in capsys.readouterr().err
    assert not (tmp_path / "cv").exists()
    assert main([*command, *options, "--model", str(RESOURCES / "static"), "--device", "cpu"]) == 0


def test_finished_cases_are_not_predicted_again_but_another_checkpoint_is_refused(
    validated, trained, discs, monkeypatch, capsys
):
    monkeypatch.setattr("cinetrack.runs.prediction.track_whole", lambda *_: pytest.fail("again"))
    options = ["--tile-step-size", "0.5", "--mirroring", "off", "--folds", "0", "--tracker", "static"]
    assert crossvalidate(trained, discs, validated, *options) == 0
    monkeypatch.setattr("cinetrack.refiner_training.cross_validation.sha256_of", lambda path: "retrained")
    assert crossvalidate(trained, discs, validated, *options) == 2
    assert "prediction.json: expected a prediction of the bundle final, step 0.5" in capsys.readouterr().err


def metrics(name: str, **values: float) -> MetricsFile:
    row = {metric.key: 1.0 for metric in ACCURACY} | values
    return MetricsFile(name, {case: {"case_id": case, **row, "total_runtime": None} for case in ("a", "b")})


def test_the_rule_is_the_greatest_mean_percent_improvement_averaged_over_folds():
    often, far = RefinerSettings("checkpoint_best.pth"), RefinerSettings("checkpoint_final.pth")
    scores = {}
    for fold in range(3):
        scores[Validation("t", fold, (), None)] = metrics("tracker")
        # Better in every metric on every fold: 5 % in Dice, 15 % in HD95: 4 % as the mean of five.
        better = {"dice_similarity_coefficient": 1.05, "hausdorff_distance_95": 0.85}
        scores[Validation("t", fold, (), often)] = metrics(str(often), **better)
        # On one fold far better, on the others a little worse: (20 - 1 - 1) / 3 = 6 %.
        distance = 0.0 if fold == 0 else 1.05
        scores[Validation("t", fold, (), far)] = metrics(str(far), hausdorff_distance_95=distance)
    first, second = rank_candidates(scores)
    assert (first.settings, second.settings) == (far, often)
    assert first.improvement == pytest.approx(6) and second.improvement == pytest.approx(4)
    assert first.by_fold == {"t": {"0": pytest.approx(20), "1": pytest.approx(-1), "2": pytest.approx(-1)}}
    assert json.loads(ranking_document([first, second]))["chosen"] == str(far)


def test_a_refiner_that_does_not_help_is_not_chosen():
    settings = RefinerSettings()
    scores = {
        Validation("t", 0, (), None): metrics("tracker"),
        Validation("t", 0, (), settings): metrics(str(settings), center_distance=1.1),
    }
    (candidate,) = rank_candidates(scores)
    assert candidate.improvement == pytest.approx(-2)
    assert json.loads(ranking_document([candidate]))["chosen"] is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--folds", "3"], "expected trained folds (0, 1), found 3"),
        (["--tracker", "sam2"], "names of registration, static, found sam2"),
    ],
)
def test_what_cannot_be_validated_is_refused(trained, discs, tmp_path, capsys, options, message):
    assert crossvalidate(trained, discs, tmp_path, *options) == 2
    assert message in capsys.readouterr().err


def test_a_model_that_has_seen_the_patients_it_would_be_judged_on_is_refused(trained, discs, tmp_path, capsys):
    raw = tmp_path / "nnUNet_raw"
    folder = shutil.copytree(trained.raw, raw / trained.name)
    first, second, *others = json.loads((folder / "folds.json").read_text())["held_out"]
    (folder / "folds.json").write_text(json.dumps({"held_out": [second, first, *others]}))
    command = ["refiner", "crossvalidate", str(raw), "--data", str(discs), "-o", str(tmp_path / "cv")]
    places = ["--preprocessed", str(trained.preprocessed_root), "--results", str(trained.results_root)]
    assert main([*command, *places]) == 2
    assert f"found {second[0]} among those it was trained on" in capsys.readouterr().err


def test_every_prepared_case_is_wanted(trained, discs, tmp_path, capsys):
    some = shutil.copytree(discs, tmp_path / "some")
    shutil.rmtree(some / "B_003")
    assert crossvalidate(trained, some, tmp_path / "cv") == 2
    assert "expected every case that was prepared, found none named B_003" in capsys.readouterr().err


def test_an_untrained_dataset_is_refused(planned, discs, tmp_path, capsys):
    assert crossvalidate(planned, discs, tmp_path / "cv", "--results", str(tmp_path / "none")) == 2
    assert "expected a fold with checkpoint_final.pth, found none" in capsys.readouterr().err
