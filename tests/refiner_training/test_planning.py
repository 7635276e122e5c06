"""`cinetrack refiner plan`: nnU-Net's own plan or a small one, and splits where nnU-Net looks for them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import blosc2
import numpy as np
import pytest
from disc_dataset import RESOURCES, disc_case, plan, pools_of_threads

from cinetrack.cli.main import main
from cinetrack.errors import InputError
from cinetrack.refinement.nnunet import PlansManager, get_network_from_plans
from cinetrack.refiner_training.dataset_folders import dataset_folders
from cinetrack.refiner_training.planning import PAPER_PLANS, SMALL_PLANS, SmallNetwork, find_plans
from cinetrack.sequence import CineSequence
from cinetrack.sequence.trackrad_dataset import write_case


def plans_of(folders, name: str) -> dict:
    return json.loads((folders.preprocessed / f"{name}.json").read_text())


def parameters_mb(plans: dict, channels: int) -> float:
    """Size of the planned network's weights in float32."""
    architecture = plans["configurations"]["2d"]["architecture"]
    network = get_network_from_plans(
        architecture["network_class_name"],
        architecture["arch_kwargs"],
        architecture["_kw_requires_import"],
        channels,
        2,
        allow_init=False,
        deep_supervision=True,
    )
    return sum(parameter.numel() for parameter in network.parameters()) * 4 / 1e6


def test_splits_by_patient_are_where_nnunet_reads_them_and_every_sample_is_preprocessed(planned):
    splits = json.loads((planned.preprocessed / "splits_final.json").read_text())
    assert splits == json.loads((planned.raw / "splits_final.json").read_text())
    samples = json.loads((planned.raw / "samples.json").read_text())
    arrays = {path.stem for path in (planned.preprocessed / f"{SMALL_PLANS}_2d").glob("*.pkl")}
    assert arrays == set(samples) == set(splits[0]["train"] + splits[0]["val"])
    truths = {path.stem for path in (planned.preprocessed / "gt_segmentations").glob("*.png")}
    assert truths == arrays


def test_samples_are_preprocessed_as_by_nnunets_own_loop(planned, tmp_path):
    stock = tmp_path / "preprocessed" / planned.name
    stock.mkdir(parents=True)
    shutil.copy(planned.preprocessed / f"{SMALL_PLANS}.json", stock)
    shutil.copy(planned.raw / "dataset.json", stock)
    run = (
        "from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor\n"
        "if __name__ == '__main__':\n"
        f"    DefaultPreprocessor(verbose=False).run({planned.name!r}, '2d', {SMALL_PLANS!r}, 1)\n"
    )
    script = tmp_path / "run.py"  # a file, which the processes that it spawns can import
    script.write_text(run)
    roots = {"nnUNet_raw": planned.raw_root, "nnUNet_preprocessed": stock.parent, "nnUNet_results": tmp_path}
    variables = {**os.environ, **{name: str(root) for name, root in roots.items()}}
    subprocess.run([sys.executable, str(script)], env=variables, check=True, capture_output=True)
    ours, theirs = (folder / f"{SMALL_PLANS}_2d" for folder in (planned.preprocessed, stock))
    names = sorted(path.name for path in theirs.iterdir())
    assert names == sorted(path.name for path in ours.iterdir()) and len(names) > 10
    for name in names:
        if name.endswith(".b2nd"):
            found, expected = (np.asarray(blosc2.open(str(folder / name))[:]) for folder in (ours, theirs))
            np.testing.assert_array_equal(found, expected)
            assert found.dtype == expected.dtype


def test_the_list_of_files_does_not_go_into_every_checkpoint(planned):
    assert "dataset" not in json.loads((planned.preprocessed / "dataset.json").read_text())


def test_planning_again_after_other_folds_replaces_the_splits(prepared, discs, tmp_path):
    raw = tmp_path / "nnUNet_raw"
    shutil.copytree(prepared.raw, raw / prepared.name)
    plan(raw)
    prepare = ["refiner", "prepare", "--data", str(discs), "--tracker", str(RESOURCES / "static"), "--seed", "1"]
    assert main([*prepare, "-o", str(raw)]) == 0
    plan(raw)
    folders = dataset_folders(raw)
    before, after = (folder / "splits_final.json" for folder in (prepared.raw, folders.preprocessed))
    assert json.loads(before.read_text())[0]["val"] != json.loads(after.read_text())[0]["val"]


def test_the_plain_planner_gives_the_papers_network_on_images_of_its_size(tmp_path, capsys):
    """Patch 384 x 384, 7 stages, 32 to 512 features, two 3 x 3 convolutions a stage: METHOD."""
    for seed in range(2):
        frames, masks = disc_case(seed, frames=2, shape=(350, 350))
        write_case(tmp_path / "data", f"P{seed}", CineSequence(frames, (1.0, 1.0), 4.0, 0.35, "thorax"), masks)
    prepare = ["refiner", "prepare", "--data", str(tmp_path / "data"), "--tracker", str(RESOURCES / "static")]
    raw = tmp_path / "nnUNet_raw"
    assert main([*prepare, "-o", str(raw)]) == 0
    with pools_of_threads():
        assert main(["refiner", "plan", str(raw), "--workers", "1"]) == 0
    assert "patch 384 x 384, batch 2, features 32 64 128 256 512 512 512" in capsys.readouterr().out
    configuration = PlansManager(plans_of(dataset_folders(raw), PAPER_PLANS)).get_configuration("2d")
    architecture = configuration.configuration["architecture"]
    assert architecture["network_class_name"].endswith(".PlainConvUNet")
    assert architecture["arch_kwargs"]["n_conv_per_stage"] == [2] * 7
    assert architecture["arch_kwargs"]["kernel_sizes"] == [[3, 3]] * 7
    assert configuration.normalization_schemes == ["ZScoreNormalization"] * 10
    assert not any(configuration.use_mask_for_norm)


def test_the_small_network_is_as_asked_for(planned):
    configuration = plans_of(planned, SMALL_PLANS)["configurations"]["2d"]
    assert (configuration["patch_size"], configuration["batch_size"]) == ([32, 32], 2)
    arguments = configuration["architecture"]["arch_kwargs"]
    assert arguments["features_per_stage"] == [4, 8, 8] and arguments["strides"] == [[1, 1], [2, 2], [2, 2]]
    assert configuration["normalization_schemes"] == ["ZScoreNormalization", "NoNormalization"] * 5


def test_the_default_small_network_weighs_less_than_15_mb(planned):
    plans = plans_of(planned, SMALL_PLANS)
    small, stages = SmallNetwork(), len(SmallNetwork().features)
    plans["configurations"]["2d"]["architecture"]["arch_kwargs"].update(
        n_stages=stages,
        features_per_stage=list(small.features),
        kernel_sizes=[[3, 3]] * stages,
        strides=[[1, 1]] + [[2, 2]] * (stages - 1),
        n_conv_per_stage=[2] * stages,
        n_conv_per_stage_decoder=[2] * (stages - 1),
    )
    assert parameters_mb(plans, 10) < 15


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--small", "--patch-size", "100"], "multiples of 16 from 64 on for 5 stages, found 100 x 100"),
        (["--small", "--patch-size", "64", "64", "64"], "one side or two, found 3"),
        (["--small", "--features", "8"], "--features: expected 3 or more"),
        (["--small", "--features", "8", "16", "--patch-size", "64"], "positive numbers, one a stage, found 8 16"),
        (["--patch-size", "64"], "expected with --small only"),
        (["--workers", "0"], "--workers: expected 1 or more"),
        (["--batch-size", "1"], "--batch-size: expected 2 or more"),
    ],
)
def test_sizes_that_no_network_has_are_refused(prepared, capsys, options, message):
    assert main(["refiner", "plan", str(prepared.raw_root), *options]) == 2
    assert message in capsys.readouterr().err


def test_a_folder_that_was_not_prepared_is_refused(tmp_path, capsys):
    assert main(["refiner", "plan", str(tmp_path)]) == 2
    assert "Dataset501_Refiner/samples.json: expected a dataset of" in capsys.readouterr().err


def test_splits_with_a_patient_on_both_sides_are_not_planned(prepared, tmp_path, capsys):
    raw = tmp_path / "nnUNet_raw"
    folder = Path(shutil.copytree(prepared.raw, raw / prepared.name))
    splits = json.loads((folder / "splits_final.json").read_text())
    splits[0]["train"].append(splits[0]["val"].pop())
    (folder / "splits_final.json").write_text(json.dumps(splits))
    assert main(["refiner", "plan", str(raw)]) == 2
    assert "each patient on one side" in capsys.readouterr().err
    assert not dataset_folders(raw).preprocessed.exists()


def test_plans_are_found_by_name_where_there_are_several(tmp_path):
    folders = dataset_folders(tmp_path / "nnUNet_raw")
    with pytest.raises(InputError, match="expected plans of `cinetrack refiner plan`"):
        find_plans(folders)
    folders.preprocessed.mkdir(parents=True)
    for name in (PAPER_PLANS, SMALL_PLANS):
        (folders.preprocessed / f"{name}.json").write_text("{}")
    with pytest.raises(InputError, match=f"--plans with one of {SMALL_PLANS}, {PAPER_PLANS}"):
        find_plans(folders)
    assert find_plans(folders, SMALL_PLANS) == SMALL_PLANS


def test_the_other_folders_are_the_environments_or_lie_beside_the_raw_one(tmp_path, monkeypatch):
    monkeypatch.delenv("nnUNet_preprocessed", raising=False)
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "elsewhere"))
    folders = dataset_folders(tmp_path / "nnUNet_raw")
    assert folders.preprocessed_root == tmp_path / "nnUNet_preprocessed"
    assert folders.results_root == tmp_path / "elsewhere"
    assert dataset_folders(tmp_path / "raw", tmp_path / "p").preprocessed_root == tmp_path / "p"
