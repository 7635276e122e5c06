"""`cinetrack finetune`: SAM2's own training recipe on cine-MR."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

from cinetrack.cli.notes import note
from cinetrack.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    from cinetrack.finetuning.recipe import PRECISIONS, Recipe

    default = {field.name: field.default for field in fields(Recipe)}
    add = parser.add_argument
    add(
        "--data",
        type=Path,
        action="append",
        default=[],
        metavar="DATASET",
        help="labelled cases to train on; may be repeated",
    )
    add(
        "--pseudo-labels",
        type=Path,
        action="append",
        default=[],
        metavar="FOLDER",
        help="also train on these, as `cinetrack propagate` wrote them; their images must be in --data",
    )
    add(
        "--phantom-clips",
        type=int,
        default=0,
        metavar="N",
        help="draw this many synthetic clips for each epoch, beside --data or alone (default 0)",
    )
    add("--phantom-config", type=Path, metavar="FILE.json", help="settings of the synthetic clips, and their size_px")
    add(
        "--init",
        required=True,
        metavar="FILE.pt|BUNDLE|scratch",
        help="weights to start from; scratch for random ones, which needs --config",
    )
    add(
        "--config",
        metavar="NAME|FILE.yaml",
        help="the architecture: tiny, small, base+, large or a yaml (default: that of --init)",
    )
    add(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="RUN",
        help="folder for checkpoints, tables and curves; a run that is there already is continued",
    )
    add("--val-data", type=Path, action="append", default=[], metavar="DATASET", help="cases to validate with")
    add(
        "--val-share",
        type=float,
        default=0.2,
        help="share of the patients in --data that validate instead of training, where there is no --val-data "
        "(default %(default)s)",
    )
    add(
        "--val-every",
        type=int,
        default=default["validate_every"],
        metavar="EPOCHS",
        help="epochs from one validation to the next (default %(default)s)",
    )
    add("--epochs", type=int, default=default["epochs"], help="length of the training (default %(default)s)")
    add(
        "--image-size",
        type=int,
        metavar="PX",
        help="side to which frames are resized in training; smaller is faster and coarser (default: the "
        "architecture's)",
    )
    add(
        "--inference-size",
        type=int,
        metavar="PX",
        help="side to which frames are resized in validation, and later in tracking (default: --image-size)",
    )
    add(
        "--inference-region",
        type=int,
        metavar="PX",
        help="validate in a square of this side around the target (default: whole frames)",
    )
    add(
        "--region",
        type=int,
        nargs=2,
        metavar="PX",
        help="cut each clip down to a square around a target, of a side between these two (default: whole frames)",
    )
    add(
        "--stabilise",
        action="store_true",
        help="train and validate on frames that registration has warped onto the first one (default: "
        "frames as they are)",
    )
    add(
        "--clip-frames",
        type=int,
        default=default["clip_frames"],
        help="frames of each clip; more teach longer memory and take more of the GPU's (default %(default)s)",
    )
    add(
        "--max-objects",
        type=int,
        default=default["max_objects"],
        help="targets of each clip at most (default %(default)s)",
    )
    add(
        "--batch-clips",
        type=int,
        default=default["batch_clips"],
        help="clips that one device trains on at a time (default %(default)s)",
    )
    add(
        "--accumulate",
        type=int,
        default=default["accumulate"],
        help="batches whose gradients are added up for one step of the optimiser; a larger batch in less memory "
        "(default %(default)s)",
    )
    add(
        "--lr",
        type=float,
        default=default["other_lr"],
        help="learning rate of everything but the image encoder (default %(default)s)",
    )
    add(
        "--image-encoder-lr",
        type=float,
        default=default["image_encoder_lr"],
        help="learning rate of the image encoder; 0 freezes it (default %(default)s)",
    )
    add(
        "--final-lr-share",
        type=float,
        default=default["final_lr_share"],
        help="what is left of the learning rates at the end of the cosine schedule (default %(default)s)",
    )
    add(
        "--warmup-share",
        type=float,
        default=default["warmup_share"],
        help="share of the training in which the learning rates rise to their full value (default %(default)s)",
    )
    add(
        "--layer-decay",
        type=float,
        default=default["layer_decay"],
        help="factor of the image encoder's learning rate from one layer to the one before it (default %(default)s)",
    )
    add(
        "--multiplier",
        type=int,
        default=default["multiplier"],
        help="number of clips drawn from each case in each epoch (default %(default)s)",
    )
    add(
        "--workers",
        type=int,
        default=default["workers"],
        help="processes that prepare clips, for each device (default %(default)s)",
    )
    precision = "auto: bfloat16 on GPUs that have it and with --slurm, float16 on older ones, float32 on a CPU"
    add("--precision", choices=PRECISIONS, default=default["precision"], help=precision)
    add(
        "--seed",
        type=int,
        default=default["seed"],
        help="decides the split, the clips and the augmentation (default %(default)s)",
    )
    add("--device", default="auto", choices=("auto", "cpu", "cuda"), help="auto: a GPU where there is one")
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
    recipe = Recipe(
        image_size_px=args.image_size,
        inference_size_px=args.inference_size,
        inference_region_px=args.inference_region,
        region_px=None if args.region is None else tuple(args.region),
        stabilise=args.stabilise,
        epochs=args.epochs,
        clip_frames=args.clip_frames,
        max_objects=args.max_objects,
        batch_clips=args.batch_clips,
        accumulate=args.accumulate,
        image_encoder_lr=args.image_encoder_lr,
        other_lr=args.lr,
        final_lr_share=args.final_lr_share,
        warmup_share=args.warmup_share,
        layer_decay=args.layer_decay,
        precision=_precision(args.precision, device, args.slurm),
        workers=args.workers,
        multiplier=args.multiplier,
        validate_every=args.val_every,
        seed=args.seed,
    )
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
