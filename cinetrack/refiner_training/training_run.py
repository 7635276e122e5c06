"""Run nnU-Net's training of a fold, or of several folds side by side, each in a process of its own."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import torch

from cinetrack.bundle.checkpoint_file import save_checkpoint
from cinetrack.bundle.safe_weights import load_network
from cinetrack.errors import InputError
from cinetrack.process_environment import usable_cores
from cinetrack.refiner_training.dataset_folders import DatasetFolders, environment, patients_of, read_samples
from cinetrack.refiner_training.nnunet import PlansManager, run_training
from cinetrack.refiner_training.patient_folds import check_splits
from cinetrack.refiner_training.planning import CONFIGURATION, FEWEST_STAGES, find_plans
from cinetrack.refiner_training.pretrained import check_pretrained
from cinetrack.refiner_training.stored_properties import check_arrays, check_properties
from cinetrack.refiner_training.trained_patients import FILE_NAME as TRAINED_PATIENTS
from cinetrack.refiner_training.trained_patients import check_unseen
from cinetrack.refiner_training.training_settings import TRAINER, TrainingSettings
from cinetrack.runs.processes import die_with_parent, forks_die_with_this_process
from cinetrack.sequence.json_files import read_json

CONTINUED = tuple(f"checkpoint_{name}.pth" for name in ("final", "latest", "best"))  # which nnU-Net takes, in order
Fold = int | str  # a number, or "all" for one model of every case


@dataclass(frozen=True)
class TrainingRun:
    """What is to be trained.

    Attributes:
        plans: name of the plans.
        device: "cuda" or "cpu".
        gpus: for one fold; more than one trains by DDP.
        processes: that load and augment; 0 does it in the training process.
        resume: go on from the last checkpoint, where there is one.
    """

    folders: DatasetFolders
    plans: str
    device: str
    gpus: int = 1
    processes: int = 2
    resume: bool = False

    def fold_folder(self, fold: Fold) -> Path:
        """Where nnU-Net writes a fold's checkpoints."""
        return model_folder(self.folders, self.plans) / f"fold_{fold}"


def model_folder(folders: DatasetFolders, plans: str) -> Path:
    """The trained-model folder of these plans."""
    return folders.results / f"{TRAINER}__{plans}__{CONFIGURATION}"


def check_run(run: TrainingRun, folds: Sequence[Fold]) -> None:
    """Raise InputError where training could not start or would mix patients."""
    samples = run.folders.preprocessed / _check_plans(run)
    path = run.folders.preprocessed / "splits_final.json"
    splits = read_json(path)
    patient_of = patients_of(read_samples(run.folders.preprocessed))
    check_splits(path, splits, patient_of)
    for fold in folds:
        # Beyond the last fold nnU-Net deals samples out by chance.
        if fold != "all" and not (isinstance(fold, int) and 0 <= fold < len(splits)):
            raise InputError(f'--folds: expected numbers from 0 to {len(splits) - 1} or "all", found {fold}')
    if len(set(folds)) < len(folds):
        raise InputError(f"--folds: expected each fold once, found {' '.join(map(str, folds))}")
    if run.gpus < 1 or run.processes < 0:
        raise InputError(f"expected --gpus from 1 and --workers from 0, found {run.gpus} and {run.processes}")
    if run.device == "cpu":
        if run.gpus > 1:
            raise InputError(f"--gpus: expected 1 with --device cpu, found {run.gpus}")
    else:
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count < run.gpus:
            raise InputError(f"--gpus: expected at most the {count} GPUs of this machine, found {run.gpus}")
    check_properties(samples)
    check_arrays(samples)
    for fold in folds:
        folder = run.fold_folder(fold)
        if not run.resume and _has_checkpoint(folder):
            raise InputError(f"{folder}: expected no checkpoint, or --continue to go on from it, found some")
        if run.resume and fold != "all" and (folder / TRAINED_PATIENTS).exists():
            check_unseen(folder, _held_out(splits, patient_of, fold))


def _check_plans(run: TrainingRun) -> str:
    """The folder's name of the samples that were preprocessed by the plans. Raises InputError for unusable plans."""
    path = run.folders.preprocessed / f"{find_plans(run.folders, run.plans)}.json"
    content = read_json(path)
    try:
        configuration = PlansManager(content).get_configuration(CONFIGURATION)
        stages = int(configuration.configuration["architecture"]["arch_kwargs"].get("n_stages", FEWEST_STAGES))
        samples = str(configuration.data_identifier)
    except Exception as error:  # nnU-Net just looks up what is not there
        raise InputError(f"{path}: expected plans of nnU-Net, found {type(error).__name__}: {error}") from None
    if stages < FEWEST_STAGES:
        raise InputError(
            f"{path}: expected a network of {FEWEST_STAGES} stages or more, found {stages}; plan again with as many "
            "--features"
        )
    return samples


def fold_settings(run: TrainingRun, fold: Fold, given: Mapping[str, Any]) -> TrainingSettings:
    """The settings of a fold's run: the given ones, on top of those it began with where it goes on."""
    earlier = TrainingSettings.load(run.fold_folder(fold)) if run.resume else None
    return (earlier or TrainingSettings()).changed(**given)


def check_start(run: TrainingRun, fold: Fold, settings: TrainingSettings) -> None:
    """Raise InputError or BundleError where a fold cannot go on, or start from the weights that its settings name.

    Both are read here without running code that they may carry; nnU-Net would run it.
    """
    folder = run.fold_folder(fold)
    latest = next((folder / name for name in CONTINUED if (folder / name).exists()), None)
    if latest is not None:
        load_network(latest, "network_weights")
    if _has_checkpoint(folder):
        earlier = TrainingSettings.load(folder)
        if earlier is not None and earlier.pretrained != settings.pretrained:
            raise InputError(
                f"--pretrained: expected {earlier.pretrained}, from which {folder} began, found {settings.pretrained}"
            )
    elif settings.pretrained is not None:
        splits = read_json(run.folders.preprocessed / "splits_final.json")
        held_out = _held_out(splits, patients_of(read_samples(run.folders.preprocessed)), fold)
        check_pretrained(Path(settings.pretrained), run.folders, run.plans, held_out)


def train_fold(run: TrainingRun, fold: Fold, settings: TrainingSettings) -> Path:
    """Train one fold in this process (with several GPUs: in one of its own each) by nnU-Net's run_training.

    A run that is finished is left as it is, or goes on where it is given more epochs.

    Returns:
        The final checkpoint.
    """
    folder = run.fold_folder(fold)
    final = folder / "checkpoint_final.pth"
    if run.resume and final.exists():
        if TrainingSettings.load(folder) == settings:
            return final
        # nnU-Net would begin with the final checkpoint each time, whatever was reached after it.
        final.rename(folder / "checkpoint_latest.pth")
    settings.save(folder)
    goes_on = run.resume and _has_checkpoint(folder)
    variables = {**run.folders.environment(), **settings.as_variable(), "nnUNet_n_proc_DA": str(run.processes)}
    if run.device != "cpu":
        torch.set_num_threads(1)  # as nnU-Net does; the GPU does the work
    forks_die_with_this_process()  # nnU-Net's augmentation would wait for this one for ever
    with environment(variables), contextlib.redirect_stdout(io.StringIO()), _start(folder, settings, goes_on) as start:
        run_training(
            run.folders.name,
            CONFIGURATION,
            fold,
            TRAINER,
            run.plans,
            num_gpus=run.gpus,
            continue_training=goes_on,
            pretrained_weights=start,
            device=torch.device(run.device),
        )
    return final


def train_folds(
    run: TrainingRun, folds: Sequence[Fold], given: Mapping[str, Any], at_once: int | None = None
) -> list[Fold]:
    """Train several folds, each in a process of its own.

    Args:
        given: settings, by the names of `TrainingSettings`.
        at_once: folds at a time; by default as many as the GPUs suffice for, or one on a CPU.
    Returns:
        The folds whose process failed; its own message is on stderr.
    """
    devices = _visible_gpus() if run.device != "cpu" else []
    slots = [devices[first : first + run.gpus] for first in range(0, len(devices) - run.gpus + 1, run.gpus)]
    if at_once is not None:
        # More folds than GPUs share them in turn.
        slots = [slots[index % len(slots)] if slots else [] for index in range(at_once)]
    slots = slots or [[]]
    side_by_side = min(len(slots), len(folds))
    context = multiprocessing.get_context("spawn")
    waiting, failed = list(folds), []
    running: dict[Any, tuple[Any, Fold, list[str]]] = {}  # by the process's sentinel
    while waiting or running:
        while waiting and slots:
            fold, gpus = waiting.pop(0), slots.pop(0)
            settings = fold_settings(run, fold, given)
            threads = max(1, usable_cores() // side_by_side)
            arguments = (run, fold, settings, gpus, os.getpid(), threads)
            process = context.Process(target=_train_in_process, args=arguments)
            process.start()
            running[process.sentinel] = (process, fold, gpus)
        for sentinel in wait(list(running)):
            process, fold, gpus = running.pop(sentinel)
            process.join()
            slots.append(gpus)
            failed += [fold] if process.exitcode else []
    return failed


@contextlib.contextmanager
def _start(folder: Path, settings: TrainingSettings, goes_on: bool) -> Iterator[str | None]:
    """The weights to start from, as a file of nothing else: nnU-Net unpickles it, whatever it carries."""
    if goes_on or settings.pretrained is None:
        yield None
        return
    weights = load_network(Path(settings.pretrained), "network_weights")
    with tempfile.TemporaryDirectory(dir=folder, prefix=".pretrained.") as temporary:
        path = Path(temporary) / "weights.pth"
        save_checkpoint({"network_weights": weights}, path)
        yield str(path)


def _held_out(splits: list[dict[str, list[str]]], patient_of: Mapping[str, str], fold: Fold) -> set[str]:
    """The patients that a fold validates on; none where it trains on all."""
    return {patient_of[sample] for sample in splits[fold]["val"]} if isinstance(fold, int) else set()


def _has_checkpoint(folder: Path) -> bool:
    return any(folder.glob("checkpoint_*.pth"))


def _train_in_process(
    run: TrainingRun, fold: Fold, settings: TrainingSettings, gpus: list[str], parent: int, threads: int
) -> None:
    """`parent`: with which this process ends; `threads`: this fold's share of the cores, on a GPU one."""
    die_with_parent(parent)
    # As in a process of one fold: a spawned process would spawn nnU-Net's workers, which then outlive it.
    multiprocessing.set_start_method(None, force=True)
    torch.set_num_threads(threads)
    if gpus:  # before CUDA is first used, so that nnU-Net's device 0 is this fold's own
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    try:
        train_fold(run, fold, settings)
    except InputError as error:
        print(f"error: fold {fold}: {error}", file=sys.stderr, flush=True)
        sys.exit(2)


def _visible_gpus() -> list[str]:
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return named.split(",") if named else [str(index) for index in range(torch.cuda.device_count())]
