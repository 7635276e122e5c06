"""`cinetrack refiner train`: nnU-Net's training with our trainer, which goes on where it was stopped."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
from disc_dataset import PATIENTS, train
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from cinetrack.cli.main import main
from cinetrack.errors import InputError
from cinetrack.refiner_training import training_run
from cinetrack.refiner_training.dataset_folders import DatasetFolders, environment
from cinetrack.refiner_training.planning import SMALL_PLANS
from cinetrack.refiner_training.trainer import nnUNetTrainerCineTrack
from cinetrack.refiner_training.trained_patients import trained_patients, write_trained_patients
from cinetrack.refiner_training.training_run import TrainingRun, check_run, model_folder
from cinetrack.refiner_training.training_settings import TRAINER, TrainingSettings


def transforms(trainer: type[nnUNetTrainer]):
    arguments = ((64, 64), (-np.pi, np.pi), [[1, 1], [0.5, 0.5]], (0, 1), False)
    return trainer.get_training_transforms(*arguments, use_mask_for_norm=[False] * 10).transforms


def copy_of(folders: DatasetFolders, root: Path) -> DatasetFolders:
    """The same preprocessed dataset with results of its own."""
    return DatasetFolders(folders.raw_root, folders.preprocessed_root, root / "results", folders.dataset_id)


def checkpoint(folders: DatasetFolders, fold: int | str, name: str = "final") -> dict:
    path = model_folder(folders, SMALL_PLANS) / f"fold_{fold}" / f"checkpoint_{name}.pth"
    return torch.load(path, weights_only=False)


def test_the_augmentation_is_nnunets_with_elastic_deformation_of_a_fifth_of_the_samples():
    ours, stock = transforms(nnUNetTrainerCineTrack), transforms(nnUNetTrainer)
    assert [type(transform) for transform in ours] == [type(transform) for transform in stock]
    (spatial,) = [transform for transform in ours if isinstance(transform, SpatialTransform)]
    (default,) = [transform for transform in stock if isinstance(transform, SpatialTransform)]
    assert spatial.p_elastic_deform == 0.2 and default.p_elastic_deform == 0
    changed = {key for key, value in vars(spatial).items() if value != vars(default)[key]}
    assert changed == {"p_elastic_deform", "elastic_deform_scale", "elastic_deform_magnitude"}


def test_the_deformation_moves_pixels_smoothly_and_folds_nothing():
    (spatial,) = [t for t in transforms(nnUNetTrainerCineTrack) if isinstance(t, SpatialTransform)]
    spatial.p_elastic_deform, spatial.p_rotation, spatial.p_scaling = 1, 0, 0
    np.random.seed(0), torch.manual_seed(0)
    greatest = []
    for _ in range(50):
        offsets = spatial.get_parameters(image=torch.zeros(1, 64, 64))["elastic_offsets"].numpy()
        greatest.append(np.abs(offsets).max())
        for axis in (0, 1):
            # A pixel's neighbour lands beyond it: one pixel further, plus how much more it is moved.
            assert (1 + np.diff(offsets[..., axis], axis=axis) > -0.5).all()
    assert 3 < max(greatest) <= 6


def initialized(
    folders: DatasetFolders, kind: type[nnUNetTrainer] = nnUNetTrainerCineTrack, **variables: str
) -> nnUNetTrainer:
    """A trainer of fold 0, ready to train."""
    with environment({**folders.environment(), **variables}):
        plans = json.loads((folders.preprocessed / f"{SMALL_PLANS}.json").read_text()) | {"continue_training": False}
        dataset_json = json.loads((folders.preprocessed / "dataset.json").read_text())
        trainer = kind(plans, "2d", 0, dataset_json, torch.device("cpu"))
        trainer.initialize()
    return trainer


def test_what_is_set_reaches_nnunet(planned, tmp_path):
    wanted = TrainingSettings(epochs=7, iterations=6, validation_iterations=5, learning_rate=0.02, foreground_share=0.8)
    trainer = initialized(copy_of(planned, tmp_path), **wanted.as_variable())
    assert (trainer.num_epochs, trainer.num_iterations_per_epoch, trainer.num_val_iterations_per_epoch) == (7, 6, 5)
    assert (trainer.optimizer.param_groups[0]["lr"], trainer.oversample_foreground_percent) == (0.02, 0.8)


def test_the_defaults_are_the_papers(planned, tmp_path):
    folders = copy_of(planned, tmp_path)
    trainer = initialized(folders)
    assert trainer.oversample_foreground_percent == initialized(folders, nnUNetTrainer).oversample_foreground_percent
    length = (trainer.num_epochs, trainer.num_iterations_per_epoch, trainer.num_val_iterations_per_epoch)
    assert length == (1000, 250, 50)
    (group,) = trainer.optimizer.param_groups
    assert isinstance(trainer.optimizer, torch.optim.SGD)
    assert (group["lr"], group["momentum"], group["nesterov"]) == (1e-2, 0.99, True)
    assert trainer.save_every == 50


def test_training_writes_nnunets_folder_and_a_line_an_epoch(planned, tmp_path, capfd):
    folders = copy_of(planned, tmp_path)
    train(planned.raw_root, "--folds", "2", "--results", str(folders.results_root))
    out, err = capfd.readouterr()
    model = model_folder(folders, SMALL_PLANS)
    assert out.splitlines() == [str(model / "fold_2")]
    lines = [line for line in err.splitlines() if line.startswith("fold 2 epoch")]
    assert len(lines) == 2 and "pseudo-Dice" in lines[1] and lines[1].endswith("0:00:00 left")
    assert {"plans.json", "dataset.json", "fold_2"} <= {path.name for path in model.iterdir()}
    content = checkpoint(folders, 2)
    assert content["trainer_name"] == TRAINER and content["current_epoch"] == 2
    held_out = set(json.loads((folders.raw / "folds.json").read_text())["held_out"][2])
    assert trained_patients(model / "fold_2") == set(PATIENTS) - held_out  # nnU-Net took our splits


@pytest.mark.slow
def test_a_killed_training_goes_on_from_its_last_checkpoint_with_its_settings(planned, tmp_path):
    folders = copy_of(planned, tmp_path)
    options = [str(planned.raw_root), "--folds", "0", "--device", "cpu", "--results", str(folders.results_root)]
    length = ["--epochs", "30", "--iterations", "2", "--validation-iterations", "1", "--workers", "0"]
    command = [sys.executable, "-m", "cinetrack", "refiner", "train", *options]
    with subprocess.Popen([*command, *length], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        for line in process.stderr:
            if "epoch 4/30" in line:
                process.kill()
    saved = checkpoint(folders, 0, "latest")["current_epoch"]
    assert 3 <= saved < 30
    assert main(["refiner", "train", *options, "--workers", "0", "--continue", "--epochs", "6"]) == 0
    content = checkpoint(folders, 0)
    assert content["current_epoch"] == 6 and len(content["logging"]["train_losses"]) == 6
    settings = TrainingSettings.load(model_folder(folders, SMALL_PLANS) / "fold_0")
    assert (settings.epochs, settings.iterations, settings.validation_iterations) == (6, 2, 1)


def test_a_checkpoint_is_there_whole_or_not_at_all(planned, tmp_path, monkeypatch):
    folders = copy_of(planned, tmp_path)
    train(planned.raw_root, "--folds", "0", "--results", str(folders.results_root))
    before = (model_folder(folders, SMALL_PLANS) / "fold_0/checkpoint_best.pth").read_bytes()

    def cut_off(content, file):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", cut_off)
    with pytest.raises(AssertionError):  # the command's exit code
        train(planned.raw_root, "--folds", "0", "--results", str(folders.results_root), "--continue", "--epochs", "40")
    assert (model_folder(folders, SMALL_PLANS) / "fold_0/checkpoint_best.pth").read_bytes() == before


def test_a_finished_training_is_left_alone_and_goes_on_with_more_epochs(planned, tmp_path):
    folders = copy_of(planned, tmp_path)
    options = ["--folds", "0", "--results", str(folders.results_root)]
    train(planned.raw_root, *options)
    final = model_folder(folders, SMALL_PLANS) / "fold_0/checkpoint_final.pth"
    before = final.stat().st_mtime_ns
    train(planned.raw_root, *options, "--continue")
    assert final.stat().st_mtime_ns == before
    train(planned.raw_root, *options, "--continue", "--epochs", "3")
    content = checkpoint(folders, 0)
    assert content["current_epoch"] == 3 and len(content["logging"]["train_losses"]) == 3


def test_a_model_of_every_case(planned, tmp_path):
    folders = copy_of(planned, tmp_path)
    train(planned.raw_root, "--folds", "all", "--results", str(folders.results_root), "--epochs", "1")
    assert checkpoint(folders, "all")["init_args"]["fold"] == "all"


def test_a_training_starts_from_another_refiners_weights_but_for_the_heads(planned, trained, tmp_path):
    start = model_folder(trained, SMALL_PLANS) / "fold_0" / "checkpoint_final.pth"
    folders = copy_of(planned, tmp_path)
    still = ["--lr", "1e-12", "--pretrained", str(start), "--results", str(folders.results_root)]
    train(planned.raw_root, "--folds", "all", *still)
    before, after = (content["network_weights"] for content in (checkpoint(trained, 0), checkpoint(folders, "all")))
    moved = {name for name in before if not torch.allclose(before[name], after[name], atol=1e-8)}
    heads = {name for name in before if ".seg_layers." in name}
    assert moved <= heads and moved >= {name for name in heads if name.endswith("weight")}
    folder = model_folder(folders, SMALL_PLANS) / "fold_all"
    assert TrainingSettings.load(folder).pretrained == str(start)
    assert trained_patients(folder) >= trained_patients(start.parent)


def test_what_a_training_cannot_start_from_is_refused_first(planned, trained, tmp_path, capsys):
    folders = copy_of(planned, tmp_path)
    options = ["refiner", "train", str(planned.raw_root), "--device", "cpu", "--results", str(folders.results_root)]
    good = model_folder(trained, SMALL_PLANS) / "fold_0" / "checkpoint_final.pth"
    content = torch.load(good, weights_only=False)
    name = next(name for name in content["network_weights"] if name.endswith("conv.weight"))
    content["network_weights"][name] = content["network_weights"][name][:1]
    other = tmp_path / "other.pth"
    torch.save(content, other)
    torch.save({"model": {}}, tmp_path / "sam2.pt")
    for path, fold, message in (
        (tmp_path / "none.pth", "0", "found no such file"),
        (tmp_path / "sam2.pt", "0", 'under the key "network_weights", found model'),
        (other, "0", f"found weights of other shapes: {name} (1,"),
        (good, "1", "has not seen the patients"),
    ):
        assert main([*options, "--folds", fold, "--pretrained", str(path)]) == 2
        error = capsys.readouterr().err
        assert str(path) in error or str(path.parent) in error
        assert message in error
    assert not any(folders.results_root.rglob("*.pth"))


@pytest.mark.slow
def test_several_folds_side_by_side_each_in_a_process_of_its_own(planned, tmp_path, capfd):
    folders = copy_of(planned, tmp_path)
    options = ["--folds", "0", "1", "2", "--at-once", "2", "--results", str(folders.results_root)]
    train(planned.raw_root, *options)
    out, err = capfd.readouterr()
    assert [Path(line).name for line in out.splitlines()] == ["fold_0", "fold_1", "fold_2"]
    for fold in (0, 1, 2):
        assert f"fold {fold} epoch 2/2" in err
        assert checkpoint(folders, fold)["init_args"]["fold"] == fold


@pytest.mark.slow
def test_a_fold_that_fails_does_not_stop_the_others(planned, tmp_path, capfd):
    preprocessed = Path(shutil.copytree(planned.preprocessed_root, tmp_path / "preprocessed"))
    # Fold 0 holds this sample out, so it is trained on in every other fold.
    splits = json.loads((preprocessed / planned.name / "splits_final.json").read_text())
    folder = preprocessed / planned.name / f"{SMALL_PLANS}_2d"
    for name in splits[0]["val"]:
        (folder / f"{name}.pkl").unlink()
    places = ["--preprocessed", str(preprocessed), "--results", str(tmp_path / "results")]
    length = ["--epochs", "1", "--iterations", "1", "--validation-iterations", "1", "--workers", "0"]
    train_both = ["refiner", "train", str(planned.raw_root), "--device", "cpu", "--folds", "0", "1", *length, *places]
    assert main(train_both) == 1
    assert "error: training failed for fold" in capfd.readouterr().err


@pytest.mark.slow
def test_a_spawned_process_finds_the_trainer_by_the_environment_alone(planned):
    """As the processes of nnU-Net's DDP do."""
    code = (
        "from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name as find\n"
        f"trainer = find({TRAINER!r})\n"
        "print(trainer.__module__, trainer.__name__)"
    )
    variables = {**os.environ, **planned.environment()}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"cinetrack.refiner_training.trainer {TRAINER}"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--folds", "5"], 'numbers from 0 to 4 or "all", found 5'),
        (["--folds", "first"], 'numbers or "all", found first'),
        (["--folds", "0", "0"], "each fold once"),
        (["--folds", "0", "--gpus", "2"], "--gpus: expected 1 with --device cpu"),
        (["--folds", "0", "--workers", "-1"], "--workers from 0"),
        (["--folds", "0", "1", "--at-once", "0"], "--at-once: expected 1 or more"),
        (["--folds", "0", "--plans", "otherPlans"], f"expected plans named {SMALL_PLANS}, found otherPlans"),
    ],
)
def test_what_cannot_be_trained_is_refused_first(planned, tmp_path, capsys, options, message):
    command = ["refiner", "train", str(planned.raw_root), "--device", "cpu", "--results", str(tmp_path)]
    assert main([*command, *options]) == 2
    assert message in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_a_trained_fold_is_not_overwritten(trained, capsys):
    assert main(["refiner", "train", str(trained.raw_root), "--device", "cpu", "--folds", "0"]) == 2
    assert "fold_0: expected no checkpoint, or --continue" in capsys.readouterr().err


def test_splits_made_by_sample_are_refused(planned, tmp_path, capsys):
    folder = tmp_path / "preprocessed" / planned.name
    folder.mkdir(parents=True)
    for name in ("samples.json", f"{SMALL_PLANS}.json"):
        shutil.copy(planned.preprocessed / name, folder)
    names = sorted(json.loads((folder / "samples.json").read_text()))
    splits = [{"train": names[1::2], "val": names[::2]}]
    (folder / "splits_final.json").write_text(json.dumps(splits))
    run = TrainingRun(DatasetFolders(planned.raw_root, folder.parent, tmp_path), SMALL_PLANS, "cpu")
    with pytest.raises(InputError, match="each patient on one side"):
        check_run(run, [0])


def test_a_training_does_not_go_on_after_its_fold_was_dealt_anew(planned, tmp_path):
    folders = copy_of(planned, tmp_path)
    write_trained_patients(model_folder(folders, SMALL_PLANS) / "fold_0", PATIENTS)
    with pytest.raises(InputError, match="the folds have changed since"):
        check_run(TrainingRun(folders, SMALL_PLANS, "cpu", resume=True), [0])


def test_gpus_are_dealt_out_one_a_fold_and_shared_in_turn_by_more(planned, monkeypatch):
    """No GPU is touched: only which of them each process is given."""
    given = {}

    class Recorded:
        exitcode = 0

        def __init__(self, target, args):
            self.fold, self.gpus, self.sentinel = args[1], args[3], len(given)
            given[self.fold] = self.gpus

        def start(self):
            pass

        def join(self):
            pass

    class Context:
        Process = Recorded

    monkeypatch.setattr(training_run.multiprocessing, "get_context", lambda kind: Context)
    monkeypatch.setattr(training_run, "wait", lambda sentinels: sentinels[:1])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    run = TrainingRun(planned, SMALL_PLANS, "cuda", gpus=2)
    assert training_run.train_folds(run, [0, 1, 2], {}) == []
    assert given == {0: ["4", "5"], 1: ["6", "7"], 2: ["4", "5"]}
    given.clear()
    run = TrainingRun(planned, SMALL_PLANS, "cuda")
    assert training_run.train_folds(run, [0, 1, 2, 3, 4], {}, at_once=5) == []
    assert list(given.values()) == [["4"], ["5"], ["6"], ["7"], ["4"]]
