"""Make nnU-Net trained-model folders as nnU-Net writes them, in seconds: planned and saved by nnU-Net, weights random.

A tiny raw dataset in the paper's format (PNG, image and mask channels interleaved) is fingerprinted and planned by
nnU-Net; its trainer builds the network and saves the checkpoint. The last layer's bias is then set so that both
classes appear, in patches with long borders: a harder test of agreement than a trained network's single blob.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import multiprocessing.dummy
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from skimage.io import imsave

DATASET = "Dataset501_Refiner"
# METHOD: 7 stages, 32 to 512 features, two 3x3 convolutions a stage, patch 384 x 384.
PAPER_STAGES = [32, 64, 128, 256, 512, 512, 512]
PAPER_PATCH = [384, 384]


@dataclass(frozen=True)
class PlannedDataset:
    """What nnU-Net's planning leaves behind: the two json files every trained-model folder holds."""

    root: Path
    plans: dict[str, Any]
    dataset_json: dict[str, Any]

    def with_configuration(self, **changes: Any) -> PlannedDataset:
        """The same with entries of the 2d configuration replaced (`architecture` entries are merged)."""
        plans = copy.deepcopy(self.plans)
        configuration = plans["configurations"]["2d"]
        configuration["architecture"]["arch_kwargs"].update(changes.pop("arch_kwargs", {}))
        configuration.update(changes)
        return PlannedDataset(self.root, plans, self.dataset_json)

    def with_paper_architecture(self) -> PlannedDataset:
        """The paper's network and patch."""
        stages = len(PAPER_STAGES)
        return self.with_configuration(
            patch_size=PAPER_PATCH,
            arch_kwargs={
                "n_stages": stages,
                "features_per_stage": PAPER_STAGES,
                "kernel_sizes": [[3, 3]] * stages,
                "strides": [[1, 1]] + [[2, 2]] * (stages - 1),
                "n_conv_per_stage": [2] * stages,
                "n_conv_per_stage_decoder": [2] * (stages - 1),
            },
        )


def plan_dataset(
    root: Path,
    window: int = 5,
    image_size: tuple[int, int] = (64, 64),
    features: int = 8,
    planner: str = "ExperimentPlanner",
    labels: dict[str, Any] | None = None,
    regions_class_order: Sequence[int] | None = None,
    border_px: int = 0,
) -> PlannedDataset:
    """Write a raw dataset of five cases below `root` and have nnU-Net fingerprint and plan it.

    Args:
        image_size: (H, W) of the images; nnU-Net takes it as the patch where it is a multiple of 16.
        features: of the first stage; doubled with each stage up to 16 times as many.
        planner: `ExperimentPlanner` (plain U-Net) or one of the `ResEncUNetPlanner`s.
        labels, regions_class_order: as in dataset.json; background and lesion by default.
        border_px: width of a black border, which makes nnU-Net crop and normalise within the mask.
    """
    from nnunetv2.experiment_planning.dataset_fingerprint import fingerprint_extractor
    from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
    from nnunetv2.experiment_planning.experiment_planners.residual_unets import residual_encoder_unet_planners

    with nnunet_folders(root), contextlib.redirect_stdout(io.StringIO()):
        dataset_json = _write_raw_dataset(root, window, image_size, labels, regions_class_order, border_px)
        extractor = fingerprint_extractor.DatasetFingerprintExtractor(DATASET, num_processes=1)
        extractor.show_progress_bar = False
        extractor.num_foreground_voxels_for_intensitystats = 10_000  # its default draws 100 million samples
        # Threads in place of spawned processes, which take seconds to import nnU-Net.
        module = fingerprint_extractor.multiprocessing
        with mock.patch.object(module, "get_context", return_value=multiprocessing.dummy):
            extractor.run()
        planner_class = getattr(residual_encoder_unet_planners, planner, ExperimentPlanner)
        experiment = planner_class(DATASET)
        experiment.UNet_base_num_features = features
        experiment.UNet_max_features_2d = 16 * features
        plans = json.loads(json.dumps(experiment.plan_experiment(), default=_plain))
    return PlannedDataset(root, plans, dataset_json)


def write_model_folder(
    folder: Path,
    planned: PlannedDataset,
    folds: Sequence[int | str] = (0,),
    seed: int = 0,
    last_layer_scale: float = 1.0,
    checkpoint: str = "checkpoint_final.pth",
) -> Path:
    """Save seeded random networks for a planned dataset in nnU-Net's layout; returns `folder`."""
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    shutil.rmtree(folder, ignore_errors=True)
    for fold in folds:
        torch.manual_seed(seed + 1000 * (0 if fold == "all" else int(fold)))
        with nnunet_folders(planned.root), contextlib.redirect_stdout(io.StringIO()):
            plans = copy.deepcopy(planned.plans) | {"continue_training": False}
            (planned.root / "preprocessed" / DATASET / plans["configurations"]["2d"]["data_identifier"]).mkdir(
                parents=True, exist_ok=True
            )
            trainer = nnUNetTrainer(plans, "2d", fold, copy.deepcopy(planned.dataset_json), torch.device("cpu"))
            with mock.patch("nnunetv2.training.nnUNetTrainer.nnUNetTrainer.infer_dataset_class"):
                trainer.initialize()
            trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
            _balance_classes(trainer.network, planned.plans["configurations"]["2d"]["patch_size"], last_layer_scale)
            # A trained checkpoint holds numpy scalars in its log and its best score.
            trainer._best_ema = np.float64(0.9)
            trainer.logger.log("mean_fg_dice", np.float64(0.9), 0)
            trainer.logger.log("train_losses", np.float32(-0.5), 0)
            (folder / f"fold_{fold}").mkdir(parents=True)
            trainer.save_checkpoint(str(folder / f"fold_{fold}" / checkpoint))
    (folder / "plans.json").write_text(json.dumps(planned.plans, indent=1))
    (folder / "dataset.json").write_text(json.dumps(planned.dataset_json, indent=1))
    return folder


@contextlib.contextmanager
def nnunet_folders(root: Path) -> Iterator[None]:
    """nnU-Net's three environment variables, for the block only."""
    names = ("raw", "preprocessed", "results")
    with mock.patch.dict(os.environ, {f"nnUNet_{name}": str(root / name) for name in names}):
        for name in names:
            (root / name).mkdir(parents=True, exist_ok=True)
        yield


def drifting_disc(
    frames: int, size: tuple[int, int], seed: int = 3, border_px: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """(T, H, W) uint16 frames of a bright disc on a textured background, and its (T, H, W) bool masks."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: size[0], : size[1]]
    middle, radius = (size[0] / 2, size[1] / 2), max(3.0, min(size) / 6)
    images, masks = [], []
    for t in range(frames):
        mask = np.hypot(rows - middle[0] - 1.5 * t, columns - middle[1] + t) < radius
        texture = 300 + 80 * np.sin(rows / 9 + seed) + 60 * np.cos((columns + rows / 3) / 7)
        image = texture + 400 * mask + rng.normal(0, 12, size)
        if border_px:
            inside = np.zeros(size, bool)
            inside[border_px:-border_px, border_px + 2 : -border_px] = True
            image = np.where(inside, image, 0)
        images.append(image.clip(0).astype(np.uint16))
        masks.append(mask)
    return np.stack(images), np.stack(masks)


def _write_raw_dataset(root, window, size, labels, regions_class_order, border_px) -> dict[str, Any]:
    from cinetrack.sequence.intensity import min_max_8bit

    folder = root / "raw" / DATASET
    labels = labels or {"background": 0, "lesion": 1}
    values = sorted({value for entry in labels.values() for value in np.atleast_1d(entry)} - {0})
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    for case in range(5):
        frames, masks = drifting_disc(window, size, seed=case, border_px=border_px)
        for frame in range(window):
            for channel, image in enumerate((min_max_8bit(frames[frame]), masks[frame].astype(np.uint8))):
                path = folder / "imagesTr" / f"case{case}_{2 * frame + channel:04d}.png"
                imsave(path, image, check_contrast=False)
        truth = np.zeros(size, np.uint8)
        truth[masks[-1]] = np.resize(values, int(masks[-1].sum()))
        imsave(folder / "labelsTr" / f"case{case}.png", truth, check_contrast=False)
    dataset_json: dict[str, Any] = {
        "channel_names": {str(c): ("raw_image", "suggested_mask")[c % 2] for c in range(2 * window)},
        "labels": labels,
        "numTraining": 5,
        "file_ending": ".png",
    }
    if regions_class_order:
        dataset_json["regions_class_order"] = list(regions_class_order)
    (folder / "dataset.json").write_text(json.dumps(dataset_json))
    return dataset_json


@torch.no_grad()
def _balance_classes(network: torch.nn.Module, patch: Sequence[int], scale: float) -> None:
    """Scale the last layer's logits and set its bias so that every class leads somewhere."""
    last = network.decoder.seg_layers[-1]
    channels = next(network.parameters()).shape[1]
    frames, masks = drifting_disc(channels // 2, (patch[0], patch[1]))
    window = np.empty((1, channels, *patch), np.float32)
    window[0, 0::2], window[0, 1::2] = frames, masks
    window -= window.mean((2, 3), keepdims=True)
    window /= window.std((2, 3), keepdims=True) + 1e-6
    logits = network.eval()(torch.from_numpy(window))
    logits = logits[0] if isinstance(logits, (list, tuple)) else logits
    last.weight *= 4 * scale / logits.std()
    last.bias.copy_((last.bias - logits.mean((0, 2, 3))) * 4 * scale / logits.std())


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else list(value)
