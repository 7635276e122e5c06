"""One fine-tuning run, from settings to checkpoints.

    RUN/training.yaml      the effective configuration, as SAM2's trainer takes it
    RUN/tracker.yaml       the architecture, where it is not one of Meta's
    RUN/last.pt, best.pt   the latest state, and the weights of the best validation
    RUN/losses.csv, validation.csv, curves.png, tensorboard/, logs/log.txt
    RUN/cache/             the cases, memory-mapped; may be deleted
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf

from cinetrack.errors import InputError
from cinetrack.finetuning.frame_cache import cached
from cinetrack.finetuning.recipe import Recipe, TrainingData
from cinetrack.finetuning.splits import split_patients
from cinetrack.finetuning.starting_point import starting_point, write_config_copy
from cinetrack.finetuning.training_case import training_cases
from cinetrack.finetuning.training_config import training_config, training_model
from cinetrack.sequence.atomic_write import write_text_atomically

CONFIG_NAME = "training.yaml"
# May differ when a run is resumed: how clips are made ready, not which.
FREE_TO_CHANGE = ("scratch.num_train_workers", "trainer.data.train.num_workers")


def prepare_run(
    recipe: Recipe,
    data: TrainingData,
    init: str,
    config: str | None,
    run: Path,
    device: str,
    validation_folders: Sequence[Path] = (),
    validation_share: float = 0.2,
    overrides: Sequence[str] = (),
) -> DictConfig:
    """Check everything that can be known before training, and write the run's configuration.

    Args:
        init, config: see `starting_point`.
        device: "cpu" or "cuda".
        validation_folders, validation_share: see `split_patients`.
        overrides: see `training_config`.
    Returns:
        the configuration, for `train`.
    Raises:
        InputError, BundleError: what cannot be trained on or started from, or the run was begun with other settings.
    """
    if not data.folders and data.phantom is None:
        raise InputError("expected --data with a dataset, or --phantom-clips, found neither")
    start = starting_point(init, config, recipe.seed)
    cases = training_cases(data.folders, data.pseudo_labels) if data.folders else []
    split = split_patients(cases, data.folders, validation_folders, validation_share, recipe.seed)
    _cache(cases, split.training, recipe.clip_frames, run / "cache")
    model = training_model(start.architecture(), start.is_published, recipe.image_size_px)
    inference = start.architecture()
    inference.image_size = recipe.inference_size_px or model.image_size
    run.mkdir(parents=True, exist_ok=True)
    resized = start.is_published and inference.image_size != start.architecture().image_size
    name = write_config_copy(start, inference, run, published=start.is_published and not resized)
    made = training_config(
        model,
        recipe,
        data,
        split,
        {"init": init, "config": config},
        (name, str(run)),
        run,
        device,
        overrides,
    )
    _check_same_run(run / CONFIG_NAME, made)
    write_text_atomically(run / CONFIG_NAME, OmegaConf.to_yaml(made))
    return made


def train(config: DictConfig) -> None:
    """Train to the end, from last.pt where the run has one. In one process, or as one rank of torchrun's.

    Raises:
        InputError: memory ran out; says which settings to lower.
    """
    from cinetrack.finetuning.trainer import FineTuningTrainer

    settings = {key: value for key, value in config.trainer.items() if key != "_target_"}
    # SAM2's training package prints to stdout, which is for results.
    with _process_group_environment(), _out_of_memory_explained(config), contextlib.redirect_stdout(sys.stderr):
        try:
            FineTuningTrainer(**settings).run()
        finally:
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()


def _cache(cases: Sequence, patients: Sequence[str], clip_frames: int, cache: Path) -> None:
    """Read every case before training, so that a bad one is known now and not in some loader's tenth epoch."""
    long_enough = 0
    for case in cases:
        if case.case.patient_id in patients:
            long_enough += len(cached(case, cache).accepted_frames) >= clip_frames
    if cases and not long_enough:
        raise InputError(f"expected a case with {clip_frames} frames to train on, found none in {len(cases)} cases")


def _check_same_run(path: Path, made: DictConfig) -> None:
    if not path.exists():
        return
    before, now = _flat(OmegaConf.to_container(OmegaConf.load(path))), _flat(OmegaConf.to_container(made))
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) != now.get(key) and key not in FREE_TO_CHANGE:
            raise InputError(
                f"{path}: expected the settings that the run began with, found {key} = {now.get(key)} "
                f"instead of {before.get(key)}; choose another output folder"
            )


def _flat(node: object, prefix: str = "") -> dict[str, object]:
    if isinstance(node, dict):
        children = node.items()
    elif isinstance(node, list):
        children = enumerate(node)
    else:
        return {prefix: node}
    return {key: leaf for name, child in children for key, leaf in _flat(child, f"{prefix}.{name}".lstrip(".")).items()}


@contextlib.contextmanager
def _process_group_environment() -> Iterator[None]:
    """What torchrun would set, for a process started without it."""
    alone = {}
    if "RANK" not in os.environ:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        alone = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}
        os.environ.update(alone)
    try:
        yield
    finally:
        for name in alone:
            os.environ.pop(name, None)


@contextlib.contextmanager
def _out_of_memory_explained(config: DictConfig) -> Iterator[None]:
    try:
        yield
    except (torch.cuda.OutOfMemoryError, MemoryError, RuntimeError) as error:
        ran_out = isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)
        if not ran_out:
            raise
        scratch = config.scratch
        raise InputError(
            "memory ran out; lower, in this order, --batch-clips "
            f"(found {scratch.train_batch_size}; --accumulate keeps the batch), --max-objects "
            f"(found {scratch.max_num_objects}), --clip-frames (found {scratch.num_frames}) or --image-size "
            f"(found {scratch.resolution})"
        ) from error
