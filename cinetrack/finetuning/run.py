"""One fine-tuning run, from settings to checkpoints.

    RUN/training.yaml      the effective configuration, as SAM2's trainer takes it
    RUN/tracker.yaml       the architecture, where it is not one of Meta's
    RUN/last.pt, best.pt   the latest state, and the weights of the best validation: the start's, where none is better
    RUN/losses.csv, validation.csv, curves.png, tensorboard/, logs/log.txt
    RUN/cache/             the cases, memory-mapped; may be deleted

Without validation (a share of 0 and no folders, one patient with labels of every frame, or the phantom alone) there is
no best.pt and no validation.csv: what has not been compared is not called best.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from cinetrack.bundle.model_yaml import check_unfolded_size
from cinetrack.errors import InputError
from cinetrack.finetuning.frame_cache import cached
from cinetrack.finetuning.recipe import Recipe, TrainingData
from cinetrack.finetuning.splits import held_out_cases, split_patients
from cinetrack.finetuning.starting_point import CONFIG_COPY, starting_point, write_config_copy
from cinetrack.finetuning.training_case import TrainingCase, training_cases
from cinetrack.finetuning.training_config import check_image_size, training_config, training_model
from cinetrack.finetuning.validation import check_case
from cinetrack.runs.processes import forks_die_with_this_process
from cinetrack.sequence.atomic_write import write_text_atomically

logger = logging.getLogger(__name__)

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
    if data.pseudo_labels and not data.folders:
        raise InputError("--pseudo-labels: expected --data with the series that they are of, found none")
    if run.exists() and not run.is_dir():
        raise InputError(f"{run}: expected a folder for the run, found a file")
    start = starting_point(init, config, recipe.seed)
    cases = training_cases(data.folders, data.pseudo_labels) if data.folders else []
    split = split_patients(cases, data.folders, validation_folders, validation_share, recipe.seed)
    held_out = held_out_cases(split.validation_folders, split.validation)
    for case in held_out:
        check_case(case)
    if not held_out:
        logger.info("no case to validate with: there will be no best.pt")
    model = training_model(start.architecture(), start.is_published, recipe.image_size_px)
    inference = start.architecture()
    inference.image_size = recipe.inference_size_px or model.image_size
    check_image_size(inference, inference.image_size)
    is_published = start.is_published and inference.image_size == start.architecture().image_size
    made = training_config(
        model,
        recipe,
        data,
        split,
        {"init": init, "config": config},
        (start.config if is_published else CONFIG_COPY, str(run)),
        run,
        device,
        overrides,
    )
    _check_overrides(made, model)
    _check_same_run(run / CONFIG_NAME, made)
    clips = 0 if data.phantom is None else data.phantom.clips
    clips += recipe.multiplier * _cache(cases, split.training, made.scratch.num_frames, run / "cache")
    _check_batch(clips, made.scratch.train_batch_size)
    if not is_published:
        write_config_copy(inference, run)
    write_text_atomically(run / CONFIG_NAME, OmegaConf.to_yaml(made))
    return made


def train(config: DictConfig) -> None:
    """Train to the end, from last.pt where the run has one. In one process, or as one rank of torchrun's.

    Raises:
        InputError: memory ran out; says which settings to lower.
    """
    from cinetrack.finetuning.trainer import FineTuningTrainer

    settings = {key: value for key, value in config.trainer.items() if key != "_target_"}
    forks_die_with_this_process()  # torch's own watch over the clips' loaders takes its time
    with _process_group_environment(), out_of_memory_explained(config), _stdout_to_stderr(), _logging_restored():
        try:
            FineTuningTrainer(**settings).run()
        finally:
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()


def _cache(cases: Sequence[TrainingCase], patients: Sequence[str], clip_frames: int, cache: Path) -> int:
    """Read every case before training, so that a bad one is known now and not in some loader's tenth epoch.

    Returns:
        the cases that clips can be taken from.
    """
    usable = 0
    for case in cases:
        if case.case.patient_id in patients:
            has_clips = bool(cached(case, cache).clip_starts(clip_frames))
            usable += has_clips
            if not has_clips:
                logger.warning(
                    "%s: left out, has no clip of %d accepted frames that begins with an object",
                    case.masks_path,
                    clip_frames,
                )
    if cases and not usable:
        raise InputError(
            f"expected a case with a clip of {clip_frames} accepted frames that begins with an object to train on, "
            f"found none in {len(cases)} cases"
        )
    return usable


def _check_batch(clips: int, batch_clips: int) -> None:
    """Upstream drops the batch that is not full; an epoch without any would train nothing, and say so nowhere."""
    each = -(-clips // int(os.environ.get("WORLD_SIZE", 1)))
    if each < batch_clips:
        raise InputError(f"--batch-clips: expected at most the {each} clips of a process an epoch, found {batch_clips}")


def _check_overrides(made: DictConfig, model: DictConfig) -> None:
    """What the recipe checks, of what --set made of it."""
    if not made.scratch.resolution == made.trainer.model.image_size == model.image_size:
        raise InputError("--set: expected the pictures' size to be set with --image-size")
    # Where every frame is prompted with a mask, SAM2 returns the masks, and there is nothing to learn from. A single
    # frame is prompted with a box or points, whatever the settings say.
    frames, prompted = made.scratch.num_frames, made.trainer.model.num_init_cond_frames_for_train
    if 1 < frames <= prompted:
        raise InputError(
            f"--clip-frames: expected more than the {prompted} frames of a clip that may be prompted "
            f"(trainer.model.num_init_cond_frames_for_train), found {frames}"
        )


def _check_same_run(path: Path, made: DictConfig) -> None:
    if not (path.exists() and (path.parent / "last.pt").exists()):  # nothing is trained yet: begin anew
        return
    try:
        check_unfolded_size(path, path.read_text(encoding="utf-8"))
        before = _settings(OmegaConf.load(path))
    except (OmegaConfBaseException, YAMLError, ValueError, OSError) as error:
        raise InputError(f"{path}: expected the settings of a run, found something unreadable ({error})") from None
    now = _settings(made)
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) != now.get(key) and key not in FREE_TO_CHANGE:
            raise InputError(
                f"{path}: expected the settings that the run began with, found {key} = {now.get(key)} "
                f"instead of {before.get(key)}; choose another output folder"
            )


def _settings(config: DictConfig | ListConfig) -> dict[str, object]:
    """Every setting by its key. The run's own folder counts for nothing: it may be moved, or called otherwise."""
    settings = _flat(OmegaConf.to_container(config))
    folder = str(settings.get("trainer.checkpoint.save_dir"))
    own = (value for value in settings.values() if isinstance(value, str) and Path(value).is_relative_to(folder))
    moved = {value: str(Path("RUN", Path(value).relative_to(folder))) for value in own}
    return {key: moved.get(value, value) if isinstance(value, str) else value for key, value in settings.items()}


def _flat(node: object, prefix: str = "") -> dict[str, object]:
    children: Iterable[tuple[object, object]]
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
        alone = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "RANK": "0", "LOCAL_RANK": "0"}
        alone["WORLD_SIZE"] = "1"
        os.environ.update(alone)
    try:
        yield
    finally:
        for name in alone:
            os.environ.pop(name, None)


@contextlib.contextmanager
def out_of_memory_explained(config: DictConfig) -> Iterator[None]:
    """Turn memory that ran out into an InputError that says which settings to lower."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch's own are RuntimeErrors
        text, scratch = f"{error} {error.__cause__}", config.scratch
        if "DataLoader worker" in text and ("signal: Killed" in text or "shared memory" in text):
            # Nobody else kills a worker: the kernel picks one where the machine's memory is used up.
            first = (
                "a process that prepares clips was killed, as happens where memory runs out; lower, in this order, "
                f"--workers (found {scratch.num_train_workers}), "
            )
        elif isinstance(error, MemoryError) or "can't allocate memory" in text or "out of memory" in text.lower():
            first = "memory ran out; lower, in this order, "
        else:
            raise
        raise InputError(
            f"{first}--batch-clips (found {scratch.train_batch_size}; --accumulate keeps the batch), --max-objects "
            f"(found {scratch.max_num_objects}), --clip-frames (found {scratch.num_frames}) or --image-size "
            f"(found {scratch.resolution})"
        ) from error


@contextlib.contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """Keep stdout for results: SAM2's training package prints there, and so does gloo, from C++."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


@contextlib.contextmanager
def _logging_restored() -> Iterator[None]:
    """SAM2's training package makes its own logger the root, and takes the root's handlers away."""
    root, handlers = logging.root, logging.root.handlers
    upstream = logging.getLogger("training.trainer")
    try:
        yield
    finally:
        logging.root, root.handlers, upstream.handlers = root, handlers, []
