"""Read a trained-model folder as nnU-Net writes it: plans.json, dataset.json and fold_<n>/checkpoint_final.pth.

Follows nnUNetPredictor.initialize_from_trained_model_folder (nnunetv2 2.8.1), but unpickles nothing and looks for no
trainer class: every trainer that keeps the planned architecture has the same network.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cinetrack.bundle.build_limit import BuildLimit
from cinetrack.bundle.finite_weights import check_weights
from cinetrack.bundle.model_json import read_model_json
from cinetrack.bundle.safe_weights import load_weights
from cinetrack.errors import BundleError
from cinetrack.refinement.network import build_network, lay_out_for_cpu, load_state
from cinetrack.refinement.nnunet import ConfigurationManager, LabelManager, PlansManager
from cinetrack.refinement.plan_checks import check_plans


@dataclass(frozen=True, eq=False)
class NnunetModel:
    """A trained 2D nnU-Net, ready to predict.

    Attributes:
        plans, configuration, labels, dataset_json: nnU-Net's own, which its preprocessing and export take.
        networks: one a fold, on the device, in evaluation mode.
        mirror_axes: of the image (0: rows, 1: columns), along which training mirrored it; may be empty.
        source: the checkpoint, or the folder of several, to be named where the networks do not work.
    """

    plans: PlansManager
    configuration: ConfigurationManager
    labels: LabelManager
    dataset_json: dict[str, Any]
    networks: tuple[nn.Module, ...]
    mirror_axes: tuple[int, ...]
    source: Path

    @property
    def reads_spacing(self) -> bool:
        """Whether the format it was trained on has a pixel spacing. PNG has none: every pixel counts as 1 x 1."""
        return self.plans.plans.get("image_reader_writer") != "NaturalImage2DIO"


def load_model_folder(
    folder: Path, folds: Sequence[int | str], checkpoint: str, input_channels: int, device: torch.device
) -> NnunetModel:
    """Read the plans and the weights of the folds.

    Args:
        folds: numbers, or "all" for the model trained on every case.
        checkpoint: the file's name in each fold's folder.
        input_channels: how many channels the caller will feed.
    Raises:
        BundleError: a file is missing or unreadable; the model is no 2D one, part of a cascade, of other channels, or
            of an architecture that is not nnU-Net's own.
    """
    if not folds:
        raise BundleError(f"{folder}: expected at least one fold, found none")
    plans_path, dataset_path = folder / "plans.json", folder / "dataset.json"
    plans_json, dataset_json = _read_object(plans_path), _read_object(dataset_path)
    paths = [folder / f"fold_{fold}" / checkpoint for fold in folds]
    checkpoints = [read_checkpoint(path) for path in paths]
    # As nnU-Net does, the first fold speaks for all.
    configuration_name = checkpoints[0]["init_args"].get("configuration")
    if not isinstance(configuration_name, str):
        raise BundleError(f"{paths[0]}: expected the name of a configuration, found {configuration_name!r}")
    mirror_axes = checkpoints[0].get("inference_allowed_mirroring_axes") or ()
    if not isinstance(mirror_axes, (tuple, list)) or any(axis not in (0, 1) for axis in mirror_axes):
        raise BundleError(f"{paths[0]}: expected mirroring along axes 0 and 1 of a 2D image, found {mirror_axes}")

    with _blaming(dataset_path):
        found = len(dataset_json.get("channel_names") or dataset_json["modality"])
    if found != input_channels:
        raise BundleError(
            f"{dataset_path}: expected {input_channels} channels, an image and a mask for each of "
            f"{input_channels // 2} frames, found {found}"
        )
    with _blaming(plans_path):
        plans = PlansManager(plans_json)
        configuration = plans.get_configuration(configuration_name)
        _check_configuration(plans_path, configuration_name, configuration)
        check_plans(plans_path, plans, configuration, input_channels)
        label_manager_class = plans.label_manager_class
    with _blaming(dataset_path):
        labels = label_manager_class(dataset_json["labels"], dataset_json.get("regions_class_order"))
        outputs = labels.num_segmentation_heads

    networks = []
    for path, content in zip(paths, checkpoints, strict=True):
        with _blaming(plans_path), BuildLimit(plans_path, content["network_weights"]):
            network = build_network(configuration, input_channels, outputs, plans_path)
        load_state(network, content["network_weights"], path)
        if device.type == "cpu":
            network = lay_out_for_cpu(network)
        networks.append(network.to(device).eval().requires_grad_(False))
    source = paths[0] if len(paths) == 1 else folder
    return NnunetModel(plans, configuration, labels, dataset_json, tuple(networks), tuple(mirror_axes), source)


def _check_configuration(path: Path, name: str, configuration: ConfigurationManager) -> None:
    patch = configuration.patch_size
    if len(patch) != 2:
        raise BundleError(f"{path}: expected a 2D configuration, found {name!r} with patch size {list(patch)}")
    if configuration.previous_stage_name is not None:
        raise BundleError(
            f"{path}: expected a model of one stage, found {name!r} after stage {configuration.previous_stage_name!r}"
        )


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint as nnU-Net's trainer writes it. Raises BundleError where it is none, or its weights not finite."""
    content = load_weights(path)
    for key in ("network_weights", "init_args"):
        if not isinstance(content.get(key), dict):
            found = sorted(content)[:5]
            raise BundleError(f"{path}: expected a checkpoint of nnU-Net's trainer with {key!r}, found {found}")
    check_weights(content["network_weights"], path)
    return content


def _read_object(path: Path) -> dict[str, Any]:
    content = read_model_json(path, finite=False)
    if not isinstance(content, dict):
        raise BundleError(f"{path}: expected a json object as nnU-Net writes it, found {type(content).__name__}")
    return content


@contextlib.contextmanager
def _blaming(path: Path) -> Iterator[None]:
    """Say which file is at fault where nnU-Net asserts, raises bare errors or just looks up what is not there."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it also prints
            yield
    except BundleError:
        raise
    except Exception as error:
        raise BundleError(
            f"{path}: expected a file as nnU-Net writes it, found one it cannot use ({type(error).__name__}: {error})"
        ) from None
