"""nnU-Net's fingerprint, plan and preprocessing of a prepared dataset: 2D, by its plain planner or by our small one.

METHOD: the paper plans with nnU-Net's default planner, which on images of 320 to 384 px gives its network: patch
384 x 384, 7 stages, 32 to 512 features. That network takes seconds a frame on a CPU; the small one is for the bundle
that is shipped, and for trying things out.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cinetrack.errors import InputError
from cinetrack.refiner_training.dataset_folders import DatasetFolders, environment, patients_of, read_samples
from cinetrack.refiner_training.nnunet import (
    DatasetFingerprintExtractor,
    ExperimentPlanner,
    get_pool_and_conv_props,
)
from cinetrack.refiner_training.patient_folds import check_splits
from cinetrack.refiner_training.preprocessing import preprocess_dataset
from cinetrack.sequence.atomic_write import write_text_atomically
from cinetrack.sequence.json_files import read_json

CONFIGURATION = "2d"
PAPER_PLANS, SMALL_PLANS = "nnUNetPlans", "cinetrackSmallPlans"
# nnU-Net's deep supervision gives the lowest resolution no weight; with two stages there is no other.
FEWEST_STAGES = 3
# nnU-Net's 100 million pixels take 8 GB for ten channels. The z-score does not use these statistics at all.
FINGERPRINT_PIXELS = 100_000


@dataclass(frozen=True)
class SmallNetwork:
    """A plain U-Net of nnU-Net's kind, of a given size.

    Attributes:
        features: of each stage; every stage after the first halves the image.
        patch_size: (rows, columns), px; multiples of what the stages halve.
    """

    features: tuple[int, ...] = (16, 32, 64, 128, 128)
    patch_size: tuple[int, int] = (256, 256)

    def __post_init__(self) -> None:
        if len(self.features) < FEWEST_STAGES or min(self.features) < 1:
            raise InputError(
                f"--features: expected {FEWEST_STAGES} or more positive numbers, one a stage, found "
                f"{' '.join(map(str, self.features)) or 'none'}"
            )
        step = 2 ** (len(self.features) - 1)
        if any(side < 4 * step or side % step for side in self.patch_size):
            raise InputError(
                f"--patch-size: expected multiples of {step} from {4 * step} on for {len(self.features)} stages, "
                f"found {' x '.join(map(str, self.patch_size))}"
            )


class SizedPlanner(ExperimentPlanner):
    """nnU-Net's plain planner with the network's size or the batch size given instead of worked out.

    A small network's masks stay 0 and 1: their z-score is 10 for a target of 1 % of the image, which then looks faint.
    """

    def __init__(self, dataset: str, plans_name: str, network: SmallNetwork | None, batch_size: int | None) -> None:
        super().__init__(dataset, plans_name=plans_name)
        self._network, self._batch_size = network, batch_size

    def get_plans_for_configuration(self, spacing: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """nnU-Net's plan for a configuration, with what was given put in."""
        plan = super().get_plans_for_configuration(spacing, *args, **kwargs)
        if self._network is not None:
            stages = len(self._network.features)
            _, strides, kernels, patch_size, _ = get_pool_and_conv_props(
                spacing, self._network.patch_size, self.UNet_featuremap_min_edge_length, stages - 1
            )
            plan["patch_size"] = patch_size
            for key, value in (("normalization_schemes", "NoNormalization"), ("use_mask_for_norm", False)):
                masks = range(1, len(plan[key]), 2)  # channels are image and mask in turns
                plan[key] = [value if channel in masks else each for channel, each in enumerate(plan[key])]
            plan["architecture"]["arch_kwargs"].update(
                n_stages=stages,
                features_per_stage=self._network.features,
                kernel_sizes=kernels,
                strides=strides,
                n_conv_per_stage=self.UNet_blocks_per_stage_encoder[:stages],
                n_conv_per_stage_decoder=self.UNet_blocks_per_stage_decoder[: stages - 1],
            )
        if self._batch_size is not None:
            plan["batch_size"] = self._batch_size
        return plan


def plan_dataset(
    folders: DatasetFolders,
    network: SmallNetwork | None = None,
    batch_size: int | None = None,
    processes: int = 2,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Fingerprint, plan and preprocess a dataset, and put the splits by patient where nnU-Net looks for them.

    Args:
        network: None for nnU-Net's own plan.
        batch_size: None for the planner's.
    Returns:
        The plans, as in the json file.
    Raises:
        InputError: the dataset is not prepared, or its splits have a patient on both sides.
    """
    if batch_size is not None and batch_size < 2:
        raise InputError(f"--batch-size: expected 2 or more, found {batch_size}")
    if processes < 1:
        raise InputError(f"--workers: expected 1 or more, found {processes}")
    samples, splits = read_samples(folders.raw), read_json(folders.raw / "splits_final.json")
    check_splits(folders.raw / "splits_final.json", splits, patients_of(samples))
    folders.preprocessed.mkdir(parents=True, exist_ok=True)
    # nnU-Net leaves an older file be, and then stops if it differs.
    write_text_atomically(folders.preprocessed / "splits_final.json", json.dumps(splits, indent=1) + "\n")
    plans_name = PAPER_PLANS if network is None else SMALL_PLANS
    with environment(folders.environment()), contextlib.redirect_stdout(io.StringIO()):
        say("fingerprint")
        extractor = DatasetFingerprintExtractor(folders.name, num_processes=processes)
        extractor.num_foreground_voxels_for_intensitystats = max(FINGERPRINT_PIXELS, len(samples))  # one or more each
        extractor.run(overwrite_existing=True)
        say("plan")
        if network is None and batch_size is None:
            planner = ExperimentPlanner(folders.name, plans_name=plans_name)
        else:
            planner = SizedPlanner(folders.name, plans_name, network, batch_size)
        planner.plan_experiment()
        preprocess_dataset(folders, plans_name, CONFIGURATION, processes)
    _copy_labels(folders)
    shutil.copyfile(folders.raw / "samples.json", folders.preprocessed / "samples.json")
    # The list of files has done its work; nnU-Net would copy it into every checkpoint.
    dataset_json = read_json(folders.preprocessed / "dataset.json")
    dataset_json.pop("dataset", None)
    write_text_atomically(folders.preprocessed / "dataset.json", json.dumps(dataset_json, indent=1) + "\n")
    return read_json(folders.preprocessed / f"{plans_name}.json")


def _copy_labels(folders: DatasetFolders) -> None:
    """Where nnU-Net's own validation looks for the truth; nnU-Net's copying needs Python's former distutils."""
    for name, files in read_json(folders.raw / "dataset.json")["dataset"].items():
        target = folders.preprocessed / "gt_segmentations" / f"{name}.png"
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(folders.raw / files["label"], target)


def find_plans(folders: DatasetFolders, name: str | None = None) -> str:
    """The name of the dataset's plans.

    Args:
        name: where there are several; None for the only one.
    Raises:
        InputError: none, several, or none of this name.
    """
    found = sorted(path.stem for path in folders.preprocessed.glob("*Plans.json"))
    if not found:
        raise InputError(f"{folders.preprocessed}: expected plans of `cinetrack refiner plan`, found none")
    if name is None and len(found) > 1:
        raise InputError(f"{folders.preprocessed}: expected --plans with one of {', '.join(found)}, found none")
    if name is not None and name not in found:
        raise InputError(f"{folders.preprocessed}: expected plans named {', '.join(found)}, found {name} asked for")
    return name or found[0]


def describe(plans: dict[str, Any]) -> str:
    """One line on a plan: patch, batch, features."""
    plan = plans["configurations"][CONFIGURATION]
    features = plan["architecture"]["arch_kwargs"]["features_per_stage"]
    return (
        f"{plans['plans_name']}: patch {' x '.join(map(str, plan['patch_size']))}, batch {plan['batch_size']}, "
        f"features {' '.join(map(str, features))}"
    )
