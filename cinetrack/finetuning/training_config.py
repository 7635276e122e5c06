"""The configuration of SAM2's trainer for a run: its own MOSE fine-tune file with the recipe written over it.

Source: sam2 1.1.0, `configs/sam2.1_training/sam2.1_hiera_b+_MOSE_finetune.yaml`.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from training.model.sam2 import SAM2Train
from training.utils.train_utils import register_omegaconf_resolvers
from yaml import YAMLError

from cinetrack.errors import InputError
from cinetrack.finetuning.recipe import Recipe, TrainingData
from cinetrack.finetuning.splits import PatientSplit
from cinetrack.tracking.evidence.sam2.architecture import POSTPROCESSING

MOSE = "configs/sam2.1_training/sam2.1_hiera_b+_MOSE_finetune.yaml"


def mose_recipe() -> DictConfig:
    """SAM2's own fine-tuning configuration, with its resolvers at hand."""
    if not OmegaConf.has_resolver("times"):
        register_omegaconf_resolvers()
    recipe = OmegaConf.load(Path(str(files("sam2"))) / MOSE)
    assert isinstance(recipe, DictConfig)  # what the pinned package ships
    return recipe


def training_model(architecture: DictConfig, published: bool, image_size_px: int | None) -> DictConfig:
    """`SAM2Train` of an architecture: its `model` part with the MOSE recipe's settings of training.

    Args:
        architecture: as `read_architecture` gives it.
        published: Meta's own; its trunk then drops paths as in the MOSE file.
        image_size_px: None for the architecture's own.
    Raises:
        InputError: the network cannot see pictures of that size.
    """
    model = architecture.copy()
    stock = mose_recipe().trainer.model
    own = set(inspect.signature(SAM2Train.__init__).parameters)
    own -= {"image_encoder", "memory_attention", "memory_encoder"}
    for key in stock:
        if key in own:
            model[key] = stock[key]
    if published:
        model.image_encoder.trunk.drop_path_rate = stock.image_encoder.trunk.drop_path_rate
        for key in POSTPROCESSING:  # of inference; a network in training takes no notice of them
            model.pop(key, None)
    model._target_ = "training.model.sam2.SAM2Train"
    if image_size_px is not None:
        model.image_size = image_size_px
    check_image_size(model, model.image_size)
    return model


def check_image_size(architecture: DictConfig, image_size_px: int) -> None:
    """Raise InputError where the image encoder's windows and poolings do not divide a picture's side."""
    trunk = architecture.image_encoder.trunk
    # Hiera: pixels are joined 4 x 4, then halved q_pool times; the first stage's windows tile the position embedding.
    step = math.lcm(4 * 2 ** trunk.get("q_pool", 3), 4 * trunk.get("window_spec", [8])[0])
    if image_size_px % step:
        raise InputError(f"image size: expected a multiple of {step} for this network, found {image_size_px}")


def training_config(
    model: DictConfig,
    recipe: Recipe,
    data: TrainingData,
    split: PatientSplit,
    start: dict[str, str | None],
    validation_config: tuple[str, str],
    run: Path,
    device: str,
    overrides: Sequence[str] = (),
) -> DictConfig:
    """Everything the trainer needs, resolved.

    Args:
        model: from `training_model`.
        split: whose cases are trained on, and whose are for validation.
        start: `init` and `config`, as `starting_point` takes them.
        validation_config: the network's configuration and its folder, for the pipeline.
        run: folder of checkpoints and logs.
        device: "cpu" or "cuda".
        overrides: "key.of.the.configuration=value", as on hydra's command line.
    Raises:
        InputError: an override that is no `key=value`, of a key that does not exist, or of a value that does not fit.
    """
    config = mose_recipe()
    config.scratch.resolution = model.image_size
    config.scratch.train_batch_size = recipe.batch_clips
    config.scratch.num_train_workers = recipe.workers
    config.scratch.num_frames = recipe.clip_frames
    config.scratch.max_num_objects = recipe.max_objects
    config.scratch.base_lr = recipe.other_lr
    config.scratch.vision_lr = recipe.image_encoder_lr
    config.scratch.num_epochs = recipe.epochs
    trainer = config.trainer
    trainer._target_ = "cinetrack.finetuning.trainer.FineTuningTrainer"
    trainer.mode = "train"
    trainer.accelerator = device
    trainer.seed_value = recipe.seed
    trainer.val_epoch_freq = recipe.validate_every
    trainer.accumulate = recipe.accumulate
    trainer.start = start
    trainer.validation = {
        "folders": [str(folder) for folder in split.validation_folders],
        "patients": list(split.validation),
        "config": validation_config[0],
        "config_folder": validation_config[1],
        "region_px": recipe.inference_region_px,
        "stabilise": recipe.stabilise,
    }
    trainer.model = model
    if recipe.image_encoder_lr == 0:
        trainer.model.freeze_image_encoder = True
    trainer.data.train.datasets = _datasets(config, recipe, data, split.training, run)
    trainer.data.train.pin_memory = device == "cuda"
    trainer.optim.param_group_modifiers[0].layer_decay_value = recipe.layer_decay
    for group, rate in zip(trainer.optim.options.lr, ("${scratch.base_lr}", "${scratch.vision_lr}"), strict=True):
        group.scheduler = _schedule(rate, recipe)
    trainer.optim.amp = {"enabled": recipe.precision != "float32", "amp_dtype": _amp_type(recipe.precision)}
    # The objects of a batch of several clips differ in number, and cuDNN would time its algorithms anew, for seconds,
    # with every number it has not met.
    trainer.cuda = {"cudnn_benchmark": recipe.batch_clips == 1}
    trainer.distributed.backend = "nccl" if device == "cuda" else "gloo"
    trainer.logging.tensorboard_writer.log_dir = str(run / "tensorboard")
    trainer.logging.log_dir = str(run / "logs")
    config.launcher.experiment_log_dir = str(run)
    trainer.checkpoint = {"save_dir": str(run), "save_freq": 0, "model_weight_initializer": None}
    # Of folders of pictures, which there are none of.
    del config["dataset"]
    return _overridden(config, overrides)


def _datasets(
    config: DictConfig, recipe: Recipe, data: TrainingData, patients: Sequence[str], run: Path
) -> list[dict[str, Any]]:
    """One concatenation of all sources: upstream's mixing asks for shares that add up to 1.0 exactly, in float32."""
    stock = config.trainer.data.train.datasets[0].dataset.datasets[0]
    shared = {"sampler": stock.sampler, "transforms": "${vos.train_transforms}", "seed": recipe.seed}
    if recipe.stabilise or recipe.region_px is not None:
        region_px = None if recipe.region_px is None else list(recipe.region_px)
        shared["view"] = {"stabilise": recipe.stabilise, "region_px": region_px}
    sources: list[dict[str, Any]] = []
    if data.folders:
        sources.append(
            {
                "_target_": "cinetrack.finetuning.clip_dataset.case_clips",
                "folders": [str(folder) for folder in data.folders],
                "pseudo_labels": [str(folder) for folder in data.pseudo_labels],
                "patients": list(patients),
                "cache": str(run / "cache"),
                "multiplier": recipe.multiplier,
                **shared,
            }
        )
    if data.phantom is not None:
        drawn = {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(data.phantom.config).items()}
        sources.append(
            {
                "_target_": "cinetrack.finetuning.clip_dataset.phantom_clips",
                "clips": data.phantom.clips,
                "size_px": list(data.phantom.size_px),
                "config": drawn,
                **shared,
            }
        )
    return [{"_target_": "training.dataset.utils.ConcatDataset", "datasets": sources}]


def _schedule(start: str, recipe: Recipe) -> dict[str, Any]:
    cosine = {
        "_target_": "fvcore.common.param_scheduler.CosineParamScheduler",
        "start_value": start,
        "end_value": f"${{times:{start},{recipe.final_lr_share}}}",
    }
    if not recipe.warmup_share:
        return cosine
    rise = {
        "_target_": "fvcore.common.param_scheduler.LinearParamScheduler",
        "start_value": f"${{divide:{start},10}}",
        "end_value": start,
    }
    return {
        "_target_": "fvcore.common.param_scheduler.CompositeParamScheduler",
        "schedulers": [rise, cosine],
        "lengths": [recipe.warmup_share, 1 - recipe.warmup_share],
        "interval_scaling": ["rescaled", "rescaled"],
    }


def _amp_type(precision: str) -> str:
    return "float16" if precision == "float16" else "bfloat16"


def _overridden(config: DictConfig, overrides: Sequence[str]) -> DictConfig:
    for override in overrides:
        key, separator, value = override.partition("=")
        if not separator or not key:
            raise InputError(f"--set {override}: expected key=value, found no =")
        try:
            if OmegaConf.select(config, key, throw_on_missing=True) is None and not _is_none(config, key):
                raise InputError(f"--set {override}: expected a key of the training configuration, found no {key}")
            OmegaConf.update(config, key, OmegaConf.create(f"v: {value}").v)
        except (OmegaConfBaseException, YAMLError) as error:
            raise InputError(f"--set {override}: expected a setting that can be changed so: {error}") from None
    try:
        resolved = OmegaConf.create(OmegaConf.to_container(config, resolve=True))
    except (OmegaConfBaseException, TypeError) as error:  # a resolver is fed what it cannot reckon with
        raise InputError(f"--set {' '.join(overrides)}: expected a configuration that resolves: {error}") from None
    assert isinstance(resolved, DictConfig)
    return resolved


def _is_none(config: DictConfig | ListConfig, key: str) -> bool:
    """Whether a key exists and holds null, which `select` does not tell from a missing one."""
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    return isinstance(node, DictConfig) and name in node
