"""Build SAM2's network from one of sam2's own configurations or from a yaml of the same schema.

Follows `sam2.build_sam.build_sam2_video_predictor`, without the predictor: its options on prompts and holes are
either set here or belong to the session. A yaml names Python classes, so only modules of `sam2.modeling` are let in.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from sam2.modeling.position_encoding import PositionEmbeddingSine
from sam2.modeling.sam2_base import SAM2Base

from cinetrack.bundle.build_limit import BuildLimit, check_settings
from cinetrack.bundle.model_yaml import read_model_yaml
from cinetrack.bundle.safe_weights import differences, load_network
from cinetrack.errors import BundleError, InputError

# sam2's own SAM2.1 configurations, by the names that Meta's checkpoints go by.
PUBLISHED_CONFIGS = {
    "sam2.1_hiera_tiny.pt": "sam2.1_hiera_t.yaml",
    "sam2.1_hiera_small.pt": "sam2.1_hiera_s.yaml",
    "sam2.1_hiera_base_plus.pt": "sam2.1_hiera_b+.yaml",
    "sam2.1_hiera_large.pt": "sam2.1_hiera_l.yaml",
}

# What build_sam2_video_predictor sets by default (apply_postprocessing=True) and SAM2Base takes. Its fourth override,
# fill_hole_area, needs sam2's CUDA extension; the pipeline fills holes itself.
POSTPROCESSING = {
    "sam_mask_decoder_extra_args": {
        "dynamic_multimask_via_stability": True,
        "dynamic_multimask_stability_delta": 0.05,
        "dynamic_multimask_stability_thresh": 0.98,
    },
    "binarize_mask_from_pts_for_mem_enc": True,
}

# Options of SAM2VideoPredictor that SAM2Base does not take; a yaml written for the predictor may hold them.
PREDICTOR_ONLY = (
    "fill_hole_area",
    "non_overlap_masks",
    "clear_non_cond_mem_around_input",
    "add_all_frames_to_correct_as_cond",
)
# SAM2's own is 1024. Four times its pixels, and sixteen times its attention, is where a GPU of 16 GB ends.
LARGEST_IMAGE_PX = 2048
_ROOTS = ("sam2.modeling.sam2_base.SAM2Base", "sam2.sam2_video_predictor.SAM2VideoPredictor")


def is_published_config(name: str) -> bool:
    """Whether `name` is the file name of one of sam2's own SAM2.1 configurations."""
    return name in PUBLISHED_CONFIGS.values()


def guess_config(checkpoint: Path, option: str) -> str:
    """The configuration of a checkpoint that has the name under which Meta publishes it.

    Args:
        option: what to give where it has another.
    Raises:
        InputError: it has.
    """
    if checkpoint.name not in PUBLISHED_CONFIGS:
        raise InputError(
            f"{checkpoint}: expected {option} with a checkpoint of this name; it can be guessed for "
            f"{', '.join(PUBLISHED_CONFIGS)} only"
        )
    return PUBLISHED_CONFIGS[checkpoint.name]


def read_architecture(config: str, folder: Path) -> DictConfig:
    """The `model` part of a configuration, ready to instantiate.

    Args:
        config: the file name of one of sam2's own SAM2.1 configurations, or a yaml inside `folder`.
        folder: where a yaml of the user's lies.
    Raises:
        BundleError: no such file, no yaml of that schema, or a class that is not one of sam2's modules.
    """
    published = is_published_config(config)
    path = Path(str(files("sam2"))) / "configs" / "sam2.1" / config if published else folder / config
    try:
        document = read_model_yaml(path)
    except FileNotFoundError:
        known = ", ".join(PUBLISHED_CONFIGS.values())
        raise BundleError(
            f"{path}: expected a SAM2 configuration (a yaml here, or one of {known}), found none"
        ) from None
    model = document.model if "model" in document else None  # "???", yaml's word for missing, counts as none
    if model is None:
        raise BundleError(f"{path}: expected a yaml with a SAM2 `model`, found none")
    if not isinstance(model, DictConfig) or model.get("_target_") not in _ROOTS:
        raise BundleError(f"{path}: expected model._target_ to be {_ROOTS[0]}, found {_target_of(model)}")
    for key in PREDICTOR_ONLY:
        model.pop(key, None)
    model._target_ = _ROOTS[0]
    plain = OmegaConf.to_container(model)
    _check_classes(path, plain, "model")
    check_settings(plain, path, "model")
    size_px = model.get("image_size", 512)  # SAM2Base's default
    if not isinstance(size_px, int) or not 0 < size_px <= LARGEST_IMAGE_PX:
        raise BundleError(f"{path}: model.image_size: expected 1 to {LARGEST_IMAGE_PX} px, found {size_px}")
    if published:
        model.merge_with(POSTPROCESSING)
    return model


def build_network(config: str, folder: Path, weights: Mapping[str, Any] | None = None) -> SAM2Base:
    """SAM2 with untrained weights, on the CPU, in evaluation mode.

    Args:
        config, folder: as for `read_architecture`.
        weights: those that it will be given, which say how large it may be; None where it is yet to be trained.
    Raises:
        BundleError: as `read_architecture`, or a network that cannot be built, or that is larger than the weights.
    """
    model = read_architecture(config, folder)
    # Of sam2's own configurations the sizes are known; what does not fit one is told tensor by tensor.
    with BuildLimit(folder / config, None if is_published_config(config) else weights) as limit:
        try:
            network = instantiate(model, _recursive_=True)
        except Exception as error:  # hydra wraps whatever a constructor raises
            reason = " ".join(str(error).split())[:300]
            refusal = f"{folder / config}: expected a SAM2 configuration, found one that fails: {reason}"
            raise BundleError(limit.refusal or refusal) from None
    for module in network.modules():
        # Filled on "cuda" whenever a GPU is visible, even for a model that will run on the CPU.
        if isinstance(module, PositionEmbeddingSine):
            module.cache.clear()
    return network.eval()


def read_weights(checkpoint: Path) -> dict[str, Any]:
    """The weights of Meta's file, or of one that SAM2's trainer wrote, by name, without executing code from it.

    Raises:
        BundleError: the file is unusable, has no weights under "model", or weights that are not finite.
    """
    return load_network(checkpoint, "model")


def load_weights_into(network: SAM2Base, weights: dict[str, Any], path: Path) -> None:
    """Copy a checkpoint's tensors into the network.

    Args:
        weights: name -> tensor, what Meta's checkpoints and SAM2's trainer keep under "model".
        path: the checkpoint, for the error's sake.
    Raises:
        BundleError: tensors are missing, superfluous or of other shapes; names the first few of each.
    """
    # Only tensors count: the trainer may keep other things beside them.
    given = {name: value for name, value in weights.items() if isinstance(value, torch.Tensor)}
    problems = differences(network.state_dict(), given)
    if problems:
        raise BundleError(f"{path}: expected weights of the configured SAM2, found some {problems}")
    network.load_state_dict(given)


def _target_of(model: Any) -> Any:
    return model.get("_target_") if isinstance(model, DictConfig) else type(model).__name__


def _check_classes(path: Path, node: Any, where: str) -> None:
    """A `_target_` is a call; let through only classes that sam2.modeling itself defines."""
    if isinstance(node, list):
        for index, value in enumerate(node):
            _check_classes(path, value, f"{where}[{index}]")
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        if key == "_target_":
            if not _is_sam2_module(value):
                raise BundleError(f"{path}: {where}._target_: expected a class of sam2.modeling, found {value}")
        elif isinstance(key, str) and key.startswith("_") and key.endswith("_"):
            raise BundleError(f"{path}: {where}: expected no hydra option but _target_, found {key}")
        else:
            _check_classes(path, value, f"{where}.{key}")


def _is_sam2_module(target: Any) -> bool:
    if not isinstance(target, str) or not target.startswith("sam2.modeling."):
        return False
    module_name, _, class_name = target.rpartition(".")
    try:
        found = getattr(importlib.import_module(module_name), class_name, None)
    except ImportError:
        return False
    return (
        isinstance(found, type) and issubclass(found, torch.nn.Module) and found.__module__.startswith("sam2.modeling.")
    )
