"""From nnU-Net's results to a bundle: the folds asked for, without what only training needs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from cinetrack.bundle import Bundle
from cinetrack.bundle.assembly import create_bundle
from cinetrack.bundle.refiner_spec import REGION_KEY, RefinerPreset, RefinerSpec
from cinetrack.bundle.safe_weights import load_weights
from cinetrack.errors import BundleError, InputError
from cinetrack.refinement.confidence import EVEN
from cinetrack.sequence.drafts import draft_folder
from cinetrack.sequence.json_files import read_json

# What nnUNetPredictor and `load_model_folder` read; the optimiser's state is as large as the weights.
KEPT = ("network_weights", "inference_allowed_mirroring_axes", "current_epoch")
# Ours builds the same network; nnU-Net itself then needs nothing of ours to predict with the model.
TRAINER_NAME = "nnUNetTrainer"


@dataclass(frozen=True)
class RefinerSettings:
    """How a trained model is run: the checkpoint's file name, and the fields of `RefinerSpec`, with its defaults."""

    checkpoint: str = RefinerSpec.checkpoint
    tile_step_size: float = RefinerSpec.tile_step_size
    mirroring: bool = RefinerSpec.mirroring
    reach_px: float | None = RefinerSpec.reach_px
    confidence: float = RefinerSpec.confidence
    outline_weight: float | None = RefinerSpec.outline_weight
    tracker_weight: float | None = RefinerSpec.tracker_weight

    def spec(self, folder: str, folds: Sequence[int | str], view: RefinerView) -> RefinerSpec:
        """The bundle's specification of these settings. Raises BundleError for one out of range."""
        return RefinerSpec(
            folder,
            tuple(folds),
            self.checkpoint,
            view.window,
            self.tile_step_size,
            self.mirroring,
            self.reach_px,
            self.confidence,
            view.region_px,
            self.outline_weight,
            self.tracker_weight,
        )

    def __str__(self) -> str:
        kind = Path(self.checkpoint).stem.removeprefix("checkpoint_")
        reach = "" if self.reach_px is None else f", reach {self.reach_px:g} px"
        sure = "" if self.confidence == EVEN else f", confidence {self.confidence:g}"
        outline = "" if self.outline_weight is None else f", outline weight {self.outline_weight:g}"
        tracker = "" if self.tracker_weight is None else f", tracker weight {self.tracker_weight:g}"
        mirrored = "mirroring" if self.mirroring else "no mirroring"
        return f"{kind}, step {self.tile_step_size:g}, {mirrored}{reach}{sure}{outline}{tracker}"


@dataclass(frozen=True)
class RefinerView:
    """What a trained model is shown; as in `RefinerSpec`."""

    window: int
    region_px: int | None = None


def view_of(model_folder: Path) -> RefinerView:
    """What a trained model is shown, from its dataset.json, which has an image and a mask of each frame.

    Raises:
        InputError: the folder holds no model of nnU-Net, or one of an odd number of channels.
    """
    path = model_folder / "dataset.json"
    if not path.exists():
        raise InputError(f"{path}: expected a model of `cinetrack refiner train`, found none")
    content = read_json(path)
    channels = content.get("channel_names") if isinstance(content, dict) else None
    if not isinstance(channels, dict) or not channels or len(channels) % 2:
        found = len(channels) if isinstance(channels, dict) else "none"
        raise InputError(f"{path}: expected channels in pairs of image and mask, found {found}")
    return RefinerView(len(channels) // 2, content.get(REGION_KEY))


def export_model(model_folder: Path, folds: Sequence[int | str], checkpoint: str, target: Path) -> None:
    """Copy a trained-model folder as nnU-Net reads it, with what predicting needs and no more.

    Raises:
        BundleError: a file is missing, or no checkpoint of nnU-Net.
    """
    target.mkdir(parents=True, exist_ok=True)
    for name, dropped in (("dataset.json", "dataset"), ("plans.json", None)):
        content = read_json(model_folder / name)
        content.pop(dropped, None)
        (target / name).write_text(json.dumps(content, indent=1) + "\n")
    for fold in folds:
        path = model_folder / f"fold_{fold}" / checkpoint
        content = load_weights(path)
        missing = [key for key in (*KEPT, "init_args") if key not in content]
        if missing:
            raise BundleError(f"{path}: expected a checkpoint of nnU-Net's trainer, found none of {', '.join(missing)}")
        slim = {key: content[key] for key in KEPT}
        slim["trainer_name"] = TRAINER_NAME
        slim["init_args"] = {key: content["init_args"].get(key) for key in ("configuration", "fold")}
        (target / f"fold_{fold}").mkdir()
        torch.save(slim, target / f"fold_{fold}" / checkpoint)


def bundle_refiner(
    model_folder: Path,
    folds: Sequence[int | str],
    settings: RefinerSettings,
    presets: Mapping[str, RefinerPreset],
    tracker: str,
    output: Path,
    name: str | None = None,
) -> Bundle:
    """A bundle of a tracker and trained folds, loaded once to check it.

    Args:
        tracker: a bundle's folder, or what else `create_bundle` takes.
        presets: other settings by name.
    Raises:
        InputError: as `create_bundle`, or there is no trained model.
    """
    spec = dataclasses.replace(settings.spec("refiner", folds, view_of(model_folder)), presets=dict(presets))
    with draft_folder(output) as draft:
        exported = draft / "model"
        export_model(model_folder, folds, settings.checkpoint, exported)
        return create_bundle(output, tracker, None, exported, spec, name)
