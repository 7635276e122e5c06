"""`cinetrack finetune`: SAM2's own training recipe on cine-MR."""

from __future__ import annotations

import argparse
from pathlib import Path

from cinetrack.cli.notes import note
from cinetrack.errors import InputError

# Option by setting of the recipe.
OPTIONS = {
    "validate_every": "--val-every",
    "epochs": "--epochs",
    "image_size_px": "--image-size",
    "inference_size_px": "--inference-size",
    "inference_region_px": "--inference-region",
    "region_px": "--region",
    "stabilise": "--stabilise",
    "clip_frames": "--clip-frames",
    "max_objects": "--max-objects",
    "batch_clips": "--batch-clips",
    "accumulate": "--accumulate",
    "other_lr": "--lr",
    "image_encoder_lr": "--image-encoder-lr",
    "final_lr_share": "--final-lr-share",
    "warmup_share": "--warmup-share",
    "layer_decay": "--layer-decay",
    "multiplier": "--multiplier",
    "workers": "--workers",
    "precision": "--precision",
    "seed": "--seed",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    from cinetrack.finetuning.recipe import Recipe

    add = parser.add_argument
    add(
        "--data",
        type=Path,
        action="append",
        default=[],
        metavar="DATASET",
        help="data set to train on, of which cases with labels of every frame are used; may be repeated",
    )
    add(
        "--pseudo-labels",
        type=Path,
        action="append",
        default=[],
        metavar="FOLDER",
        help="folder that `cinetrack propagate` wrote, to train on as well; its images must be in --data",
    )
    add(
        "--phantom-clips",
        type=int,
        default=0,
        metavar="N",
        help="draw this many synthetic clips for each epoch, beside --data or alone (default 0)",
    )
    add(
        "--phantom-config",
        type=Path,
        metavar="FILE.json",
        help="JSON file with settings of the synthetic clips and the range of their side, size_px (default: the "
        "clips' own)",
    )
    add(
        "--init",
        required=True,
        metavar="FILE.pt|BUNDLE|scratch",
        help="weights to start from: a checkpoint of SAM2, a bundle, or scratch for random ones, which needs --config",
    )
    add(
        "--config",
        metavar="NAME|FILE.yaml",
        help="architecture: tiny, small, base+, large or a yaml file (default: that of --init)",
    )
    add(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="RUN",
        help="folder for checkpoints, tables and curves; a run that was stopped there goes on",
    )
    add(
        "--val-data",
        type=Path,
        action="append",
        default=[],
        metavar="DATASET",
        help="cases to validate with; may be repeated (default: --val-share)",
    )
    add(
        "--val-share",
        type=float,
        default=0.2,
        metavar="SHARE",
        help="share of the patients in --data that validate instead of training, where there is no --val-data "
        "(default %(default)s)",
    )
    Recipe.add_options(parser, OPTIONS)
    add(
        "--device",
        default="auto",
        choices=("auto", "cpu", "cuda"),
        help="where to train; auto is a GPU where there is one (default auto)",
    )
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change any key of SAM2's training configuration, as in training.yaml; may be repeated",
    )
    add("--slurm", type=Path, metavar="FILE.yaml", help="submit to Slurm with these settings instead of training here")


def run(args: argparse.Namespace) -> int:
    """Train, or submit the training."""
    from cinetrack.finetuning.packages import check_packages
    from cinetrack.finetuning.phantom_settings import phantom_source
    from cinetrack.finetuning.recipe import Recipe, TrainingData

    check_packages()
    from cinetrack.finetuning.run import prepare_run, train

    device = _device(args.device, args.slurm)
    recipe = Recipe.from_options(args, precision=_precision(args.precision, device, args.slurm))
    phantom = phantom_source(args.phantom_clips, args.phantom_config)
    data = TrainingData(tuple(args.data), tuple(args.pseudo_labels), phantom)
    config = prepare_run(
        recipe, data, args.init, args.config, args.output, device, args.val_data, args.val_share, args.set
    )
    if args.slurm is not None:
        from cinetrack.finetuning.slurm import submit

        print(submit(config, args.slurm))
        return 0
    train(config)
    note(f"checkpoints and tables are in {args.output}")
    return 0


def _device(wanted: str, slurm: Path | None) -> str:
    import torch

    if slurm is not None:  # the machine that submits a job may well have no GPU
        from cinetrack.finetuning.slurm import read_settings

        of_job = read_settings(slurm).device
        if wanted not in ("auto", of_job):
            raise InputError(f"--device {wanted}: expected {of_job}, which gpus_per_node in {slurm} asks for")
        return of_job
    device = wanted if wanted != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: expected a CUDA device, found none")
    return device


def _precision(wanted: str, device: str, slurm: Path | None) -> str:
    if wanted != "auto":
        return wanted
    if slurm is not None:  # what its GPUs can do is not known here; bfloat16 is the MOSE recipe's
        return "bfloat16" if device == "cuda" else "float32"
    import torch

    from cinetrack.tracking.device import native_precision

    return str(native_precision(torch.device(device))).removeprefix("torch.")
