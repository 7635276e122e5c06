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
    add("--data", type=Path, action="append", default=[], metavar="DATASET", help="cases to train on; may be repeated")
    add("--pseudo-labels", type=Path, action="append", default=[], metavar="FOLDER", help="as `propagate` wrote them")
    add("--phantom-clips", type=int, default=0, metavar="N", help="phantom clips an epoch, beside --data or alone")
    add("--phantom-config", type=Path, metavar="FILE.json", help="settings of the phantom's clips; size_px too")
    add("--init", required=True, metavar="FILE.pt|BUNDLE|scratch", help="weights to start from")
    add("--config", metavar="NAME|FILE.yaml", help="tiny, small, base+, large or a yaml; by default what --init says")
    add("-o", "--output", type=Path, required=True, metavar="RUN", help="gets checkpoints, tables and curves; resumed")
    add("--val-data", type=Path, action="append", default=[], metavar="DATASET", help="cases to validate with")
    add("--val-share", type=float, default=0.2, help="share of the patients held out where there is no --val-data")
    add("--val-every", type=int, default=default["validate_every"], metavar="EPOCHS", help="epochs between validations")
    add("--epochs", type=int, default=default["epochs"])
    add("--image-size", type=int, metavar="PX", help="side the frames are resized to; the architecture's by default")
    add("--inference-size", type=int, metavar="PX", help="the same for validation and the checkpoints' tracker.yaml")
    add("--inference-region", type=int, metavar="PX", help="validate in the target's surroundings, not whole frames")
    add("--region", type=int, nargs=2, metavar="PX", help="cut clips down to a target's surroundings, of so many px")
    add("--stabilise", action="store_true", help="train and validate on frames warped onto the first")
    add("--clip-frames", type=int, default=default["clip_frames"])
    add("--max-objects", type=int, default=default["max_objects"], help="of a clip")
    add("--batch-clips", type=int, default=default["batch_clips"], help="clips at a time on one device")
    add("--accumulate", type=int, default=default["accumulate"], help="batches of one optimiser step")
    add("--lr", type=float, default=default["other_lr"], help="learning rate of all but the image encoder")
    add("--image-encoder-lr", type=float, default=default["image_encoder_lr"], help="0 freezes it")
    add("--final-lr-share", type=float, default=default["final_lr_share"], help="the cosine schedule's end")
    add("--warmup-share", type=float, default=default["warmup_share"], help="share of the run with rising rates")
    add("--layer-decay", type=float, default=default["layer_decay"])
    add("--multiplier", type=int, default=default["multiplier"], help="clips a case an epoch")
    add("--workers", type=int, default=default["workers"], help="processes that prepare clips, a device")
    precision = "auto: bfloat16 on GPUs that have it and with --slurm, float16 on older ones, float32 on a CPU"
    add("--precision", choices=PRECISIONS, default=default["precision"], help=precision)
    add("--seed", type=int, default=default["seed"])
    add("--device", default="auto", choices=("auto", "cpu", "cuda"))
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="a key of training.yaml; may be repeated")
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
