"""From nnU-Net's results to a bundle: the folds asked for, without what only training needs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cinetrack.bundle import Bundle
from cinetrack.bundle.assembly import NnunetStage, create_bundle
from cinetrack.bundle.checkpoint_file import save_checkpoint
from cinetrack.errors import BundleError, InputError
from cinetrack.refinement.model_folder import read_checkpoint
from cinetrack.refinement.settings import REGION_KEY, NnunetSettings
from cinetrack.sequence.drafts import draft_folder
from cinetrack.sequence.json_files import read_json
from cinetrack.tracking.evidence.nnunet import NnunetSourceSettings
from cinetrack.tracking.postprocessing.nnunet_redraw import NnunetRedrawSettings

# What nnUNetPredictor and `load_model_folder` read; the optimiser's state is as large as the weights.
KEPT = ("network_weights", "inference_allowed_mirroring_axes", "current_epoch")
# Ours builds the same network; nnU-Net itself then needs nothing of ours to predict with the model.
TRAINER_NAME = "nnUNetTrainer"


@dataclass(frozen=True)
class RefinerSettings:
    """How a trained model is run: what `cinetrack refiner bundle` and `crossvalidate` let their users choose.

    Attributes:
        checkpoint, tile_step_size, mirroring: as in `NnunetSettings`, with its defaults.
        outline_weight: of the prompted outline beside a model that is a source; None for the tracker's.
    """

    checkpoint: str = NnunetSettings.checkpoint
    tile_step_size: float = NnunetSettings.tile_step_size
    mirroring: bool = NnunetSettings.mirroring
    outline_weight: float | None = None

    def stage(self, folds: Sequence[int | str], view: RefinerView) -> NnunetStage:
        """The stage of a bundle that these settings make. Raises InputError for one out of range."""
        settings: dict[str, Any] = {
            "folds": tuple(folds),
            "checkpoint": self.checkpoint,
            "window": view.window,
            "tile_step_size": self.tile_step_size,
            "mirroring": self.mirroring,
        }
        if view.region_px is not None:
            return NnunetSourceSettings(**settings, region_px=view.region_px)
        if self.outline_weight is not None:
            raise InputError(
                f"outline weight: expected none for a refiner without a region, found {self.outline_weight:g}"
            )
        return NnunetRedrawSettings(**settings)

    def __str__(self) -> str:
        kind = Path(self.checkpoint).stem.removeprefix("checkpoint_")
        mirrored = "mirroring" if self.mirroring else "no mirroring"
        outline = "" if self.outline_weight is None else f", outline weight {self.outline_weight:g}"
        return f"{kind}, step {self.tile_step_size:g}, {mirrored}{outline}"


@dataclass(frozen=True)
class RefinerView:
    """What a trained model is shown; as in `NnunetSourceSettings`."""

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
        BundleError: a file is missing, no checkpoint of nnU-Net, or one whose weights are not finite.
    """
    target.mkdir(parents=True, exist_ok=True)
    for name, dropped in (("dataset.json", "dataset"), ("plans.json", None)):
        content = read_json(model_folder / name)
        content.pop(dropped, None)
        (target / name).write_text(json.dumps(content, indent=1) + "\n")
    for fold in folds:
        path = model_folder / f"fold_{fold}" / checkpoint
        content = read_checkpoint(path)
        missing = [key for key in KEPT if key not in content]
        if missing:
            raise BundleError(f"{path}: expected a checkpoint of nnU-Net's trainer, found none of {', '.join(missing)}")
        slim = {key: content[key] for key in KEPT}
        slim["trainer_name"] = TRAINER_NAME
        slim["init_args"] = {key: content["init_args"].get(key) for key in ("configuration", "fold")}
        (target / f"fold_{fold}").mkdir()
        save_checkpoint(slim, target / f"fold_{fold}" / checkpoint)


def bundle_refiner(
    model_folder: Path,
    folds: Sequence[int | str],
    settings: RefinerSettings,
    tracker: str,
    output: Path,
    name: str | None = None,
) -> Bundle:
    """A bundle of a tracker and trained folds, loaded once to check it.

    Args:
        tracker: a bundle's folder, or what else `create_bundle` takes.
    Raises:
        InputError: as `create_bundle`, or there is no trained model.
    """
    stage = settings.stage(folds, view_of(model_folder))
    with draft_folder(output) as draft:
        exported = draft / "model"
        export_model(model_folder, folds, settings.checkpoint, exported)
        try:
            return create_bundle(
                output,
                tracker,
                outline_weight=settings.outline_weight,
                refiner_folder=exported,
                refiner=stage,
                name=name,
            )
        except BundleError as error:  # which names the copy, gone by the time it is read
            raise BundleError(str(error).replace(str(exported), str(model_folder))) from None
