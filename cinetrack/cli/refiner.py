"""`cinetrack refiner`: train the second stage: prepare a dataset, plan, train, cross-validate, bundle."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from cinetrack.cli.bundle import add_outline_weight, add_refiner_options
from cinetrack.cli.notes import note
from cinetrack.cli.options import FoldsAction, add_device, add_shard
from cinetrack.errors import InputError
from cinetrack.refinement.settings import NnunetSettings
from cinetrack.refiner_training.sample_settings import MaskSettings, WindowSettings
from cinetrack.refiner_training.training_settings import TrainingSettings
from cinetrack.runs.failure import report_failures
from cinetrack.runs.outputs import check_output_file, check_output_folder
from cinetrack.runs.progress import Progress
from cinetrack.runs.shard import this_shard
from cinetrack.tracking.evidence.outline import OutlineSettings

CHECKPOINTS = ("final", "best")  # nnU-Net's: after the last epoch, and of the best pseudo-Dice

# Options by setting: of `refiner prepare`, and of `refiner train`.
MASK_OPTIONS = {"perturb": "--perturb", "region_px": "--region", "outline_bias_px": "--outline-bias", "seed": "--seed"}
TRAINING_OPTIONS = {
    "epochs": "--epochs",
    "iterations": "--iterations",
    "validation_iterations": "--validation-iterations",
    "learning_rate": "--lr",
    "foreground_share": "--foreground-share",
    "validate": "--validate",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions and their arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_split(actions.add_parser("split", help="deal patients to folds, before trackers are fine-tuned fold by fold"))
    _add_prepare(actions.add_parser("prepare", help="track labelled cases and write an nnU-Net dataset"))
    _add_plan(actions.add_parser("plan", help="run nnU-Net's fingerprint, plan and preprocessing"))
    _add_train(actions.add_parser("train", help="train one fold or several with nnU-Net"))
    _add_crossvalidate(
        actions.add_parser("crossvalidate", help="compare the tracker alone with tracker and refiner, fold by fold")
    )
    _add_bundle(actions.add_parser("bundle", help="put trained folds into a bundle with a tracker"))


def run(args: argparse.Namespace) -> int:
    """Run the chosen action."""
    return ACTIONS[args.action](args)


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, action="append", required=True, help="data set with labels of every frame; may be repeated"
    )


def _add_folders(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "raw",
        type=Path,
        metavar="NNUNET_RAW",
        help="nnU-Net's folder of raw data sets, as given to `refiner prepare -o`",
    )
    parser.add_argument("--dataset-id", type=int, default=501, help="nnU-Net's number of the dataset (default 501)")
    for name in ("preprocessed", "results"):
        parser.add_argument(
            f"--{name}",
            type=Path,
            help=f"nnU-Net's folder of that name (default: $nnUNet_{name}, else nnUNet_{name} beside NNUNET_RAW)",
        )


def _add_folds(parser: argparse.ArgumentParser, required: bool, meaning: str) -> None:
    parser.add_argument("--folds", dest="fold", nargs="+", action=FoldsAction, required=required, help=meaning)


def _add_split(parser: argparse.ArgumentParser) -> None:
    _add_data(parser)
    parser.add_argument("--seed", type=int, default=0, help="decides who is in which fold (default 0)")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="JSON file to write, for `refiner prepare --folds-file`"
    )
    parser.add_argument(
        "--links",
        type=Path,
        help="new folder to fill with links to the patients' folders, fold_<n>/train and fold_<n>/held-out, to "
        "fine-tune by "
        "(default: none)",
    )


def _add_prepare(parser: argparse.ArgumentParser) -> None:
    _add_data(parser)
    parser.add_argument(
        "--model",
        dest="tracker",
        type=Path,
        action="append",
        default=[],
        metavar="BUNDLE",
        help="bundle, a folder or a shipped one's name, whose tracker makes the masks that the refiner learns to mend; "
        "may be repeated",
    )
    parser.add_argument(
        "--fold-model",
        dest="fold_tracker",
        type=Path,
        action="append",
        default=[],
        metavar="BUNDLE",
        help="one for each fold, in order: a bundle fine-tuned without the patients that the fold holds out "
        "(needs --folds-file)",
    )
    parser.add_argument(
        "--folds-file",
        dest="folds",
        type=Path,
        help="file of `cinetrack refiner split` (default: five folds are dealt)",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="NNUNET_RAW",
        help="nnU-Net's folder of raw data sets, to write into",
    )
    parser.add_argument("--dataset-id", type=int, default=501, help="nnU-Net's number of the dataset (default 501)")
    WindowSettings.add_options(parser, {"window": "--window", "every": "--every"})
    MaskSettings.add_options(parser, MASK_OPTIONS)
    add_shard(parser)
    add_device(parser)
    parser.add_argument("--overwrite", action="store_true", help="track finished cases again (default: pass over them)")


def _add_plan(parser: argparse.ArgumentParser) -> None:
    _add_folders(parser)
    parser.add_argument(
        "--small", action="store_true", help="plan a small network, which suits a CPU (default: nnU-Net's own plan)"
    )
    parser.add_argument(
        "--patch-size", type=int, nargs="+", help="side of the patches in px, or both sides, with --small (default 256)"
    )
    parser.add_argument(
        "--features",
        type=int,
        nargs="+",
        help="features of each stage of the network, with --small (default 16 32 64 128 128)",
    )
    parser.add_argument("--batch-size", type=int, help="patches of one batch (default: as planned)")
    parser.add_argument(
        "--workers", dest="num_processes", type=int, default=2, help="processes that read and preprocess (default 2)"
    )


def _add_train(parser: argparse.ArgumentParser) -> None:
    _add_folders(parser)
    _add_folds(parser, True, 'folds to train: one number, several, or "all" for one model of every case')
    parser.add_argument("--plans", help="name of nnU-Net's plans (default: the only ones there are)")
    parser.add_argument(
        "--continue", dest="resume", action="store_true", help="go on from the last checkpoint (default: start anew)"
    )
    parser.add_argument("--device", choices=["cuda", "cpu"], help="where to train (default: cuda where there is a GPU)")
    parser.add_argument("--gpus", type=int, default=1, help="GPUs for each fold; several train it together (default 1)")
    parser.add_argument(
        "--at-once",
        type=int,
        help="folds that are trained side by side (default: as many as there are GPUs for; one on a CPU)",
    )
    parser.add_argument(
        "--workers",
        dest="num_processes",
        type=int,
        default=2,
        help="processes that load and augment, for each fold and GPU; 0 for the training itself (default 2)",
    )
    # Those left out are what a run that goes on began with.
    TrainingSettings.add_options(parser, TRAINING_OPTIONS, unset=True)
    parser.add_argument(
        "--pretrained",
        type=Path,
        metavar="CHECKPOINT",
        help="start from the weights of another refiner of the same network (default: from random ones)",
    )


def _add_crossvalidate(parser: argparse.ArgumentParser) -> None:
    _add_folders(parser)
    _add_data(parser)
    _add_folds(parser, False, "folds to judge (default: every one that is trained)")
    parser.add_argument(
        "--tracker", nargs="+", metavar="NAME", help="which of the prepared trackers to judge with (default: all)"
    )
    parser.add_argument("--plans", help="name of nnU-Net's plans (default: the only ones there are)")
    parser.add_argument(
        "--model",
        dest="bundle",
        type=Path,
        action="append",
        default=[],
        metavar="BUNDLE",
        help="bundle of a tracker that has moved since `refiner prepare`; may be repeated (default: where they were)",
    )
    parser.add_argument(
        "--checkpoint", nargs="+", default=["final"], choices=CHECKPOINTS, help="checkpoints to try (default final)"
    )
    step = [NnunetSettings.tile_step_size]
    parser.add_argument(
        "--tile-step-size",
        type=NnunetSettings.option_type("tile_step_size"),
        nargs="+",
        default=step,
        metavar="PATCHES",
        help="distances of neighbouring tiles to try, as a fraction of the patch "
        f"(default {NnunetSettings.tile_step_size:g})",
    )
    mirroring = ["on" if NnunetSettings.mirroring else "off"]
    parser.add_argument(
        "--mirroring",
        nargs="+",
        default=mirroring,
        choices=("on", "off"),
        help="whether to try mirroring, going without it, or both (default on)",
    )
    parser.add_argument(
        "--outline-weight",
        type=_weight_or_none,
        nargs="+",
        default=[None],
        metavar="W",
        help="weights of the outline to try, for a refiner that is a source beside it; none is the tracker's (default "
        "none)",
    )
    add_device(parser)
    parser.add_argument("--workers", type=int, help="processes that score (default: one for each core)")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="folder to write predictions, metrics and tables into"
    )


def _add_bundle(parser: argparse.ArgumentParser) -> None:
    _add_folders(parser)
    parser.add_argument(
        "--model",
        dest="tracker",
        required=True,
        help="bundle whose tracker is taken over, a folder or a shipped one's name",
    )
    _add_folds(parser, True, 'folds whose answers are averaged, or "all" for the model of every case')
    parser.add_argument("--plans", help="name of nnU-Net's plans (default: the only ones there are)")
    parser.add_argument(
        "--checkpoint",
        default="final",
        choices=CHECKPOINTS,
        help="which checkpoint of each fold to take (default final)",
    )
    add_outline_weight(parser)
    add_refiner_options(parser)
    parser.add_argument("--name", help="name of the bundle, for logs (default: its folder's)")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write; it must be new")


def _weight_or_none(text: str) -> float | None:
    weight: float | None = None if text == "none" else OutlineSettings.option_type("weight")(text)
    return weight


def _folders(args: argparse.Namespace) -> Any:
    from cinetrack.refiner_training.dataset_folders import dataset_folders

    return dataset_folders(args.raw, args.preprocessed, args.results, args.dataset_id)


def _split(args: argparse.Namespace) -> int:
    check_output_file(args.output)
    from cinetrack.refiner_training.patient_folds import deal_patients, link_folds, strata_of, write_folds
    from cinetrack.refiner_training.raw_dataset import labelled_cases

    cases = labelled_cases(args.data)
    strata = strata_of(cases)
    folds = deal_patients(strata, args.seed)
    if args.links is not None:
        link_folds(args.links, folds, cases)
    write_folds(args.output, folds)
    for number, held_out in enumerate(folds):
        print(f"fold {number} holds out {len(held_out)} of {len(strata)} patients: {', '.join(held_out)}")
    return 0


def _prepare(args: argparse.Namespace) -> int:
    from cinetrack.refiner_training.dataset_folders import dataset_folders
    from cinetrack.refiner_training.mask_sources import check_stabilised, mask_sources
    from cinetrack.refiner_training.patient_folds import Folds, deal_patients, read_folds, strata_of
    from cinetrack.refiner_training.preparation import jobs_of, prepare
    from cinetrack.refiner_training.raw_dataset import labelled_cases, unprepared, write_dataset

    if args.region_px is not None and args.window < 2:
        raise InputError(f"--window: expected 2 or more with --region, found {args.window}")
    raw = dataset_folders(args.output, dataset_id=args.dataset_id).raw
    check_output_folder(raw)
    masks, windows = MaskSettings.from_options(args), WindowSettings.from_options(args)
    shard = this_shard(args.shard)
    cases = labelled_cases(args.data)
    if args.fold_tracker and args.folds is None:
        raise InputError("--fold-model: expected --folds-file, by which the trackers were trained, found none")
    patients = {case.patient_id for case in cases}
    folds: Folds = read_folds(args.folds, patients) if args.folds else ()
    sources = mask_sources(args.tracker, args.fold_tracker, len(folds))
    if masks.region_px is not None:
        check_stabilised(sources)
    jobs = jobs_of(shard.of(cases), sources, folds, raw, masks)
    with Progress() as progress:
        failures = prepare(jobs, progress, args.device, args.overwrite)
    code = report_failures(failures)
    missing = unprepared(raw, cases, sources)
    if missing:
        note(f"{len(missing)} cases are still to be tracked, {missing[0]} first; the dataset is written after the last")
    else:
        folds = folds or deal_patients(strata_of(cases), args.seed)  # reads every case, of which one may be bad
        samples = write_dataset(raw, cases, sources, folds, windows, masks.region_px)
        print(f"{raw}: {samples} samples of {len(patients)} patients in {len(folds)} folds")
    return code


def _plan(args: argparse.Namespace) -> int:
    from cinetrack.refiner_training.planning import SmallNetwork, describe, plan_dataset

    network = None
    if args.small:
        given: dict[str, Any] = {"features": tuple(args.features)} if args.features else {}
        if args.patch_size:
            sides = args.patch_size * 2 if len(args.patch_size) == 1 else args.patch_size
            if len(sides) != 2:
                raise InputError(f"--patch-size: expected one side or two, found {len(sides)}")
            given["patch_size"] = tuple(sides)
        network = SmallNetwork(**given)
    elif args.features or args.patch_size:
        raise InputError("--features, --patch-size: expected with --small only; nnU-Net's planner works them out")
    plans = plan_dataset(_folders(args), network, args.batch_size, args.num_processes, note)
    print(describe(plans))
    return 0


def _train(args: argparse.Namespace) -> int:
    import torch

    from cinetrack.refiner_training.planning import find_plans
    from cinetrack.refiner_training.training_run import (
        TrainingRun,
        check_run,
        check_start,
        fold_settings,
        train_fold,
        train_folds,
    )

    folds = [_fold(text) for text in args.fold]
    folders = _folders(args)
    run = TrainingRun(
        folders,
        find_plans(folders, args.plans),
        args.device or ("cuda" if torch.cuda.is_available() else "cpu"),
        args.gpus,
        args.num_processes,
        args.resume,
    )
    check_run(run, folds)
    given = {name: getattr(args, name) for name in TRAINING_OPTIONS}
    given["pretrained"] = None if args.pretrained is None else str(args.pretrained.resolve())
    for fold in folds:  # raises for a bad one before anything starts
        check_start(run, fold, fold_settings(run, fold, given))
    if args.at_once is not None and args.at_once < 1:
        raise InputError(f"--at-once: expected 1 or more, found {args.at_once}")
    if len(folds) == 1:
        train_fold(run, folds[0], fold_settings(run, folds[0], given))
        failed = []
    else:
        failed = train_folds(run, folds, given, args.at_once)
    for fold in folds:
        if fold not in failed:
            print(run.fold_folder(fold))
    if failed:
        print(f"error: training failed for fold {', '.join(map(str, failed))}", file=sys.stderr)
    return 1 if failed else 0


def _crossvalidate(args: argparse.Namespace) -> int:
    check_output_folder(args.output)  # before nnU-Net is imported
    from cinetrack.evaluation.comparison_tables import FORMATS, comparison_tables
    from cinetrack.refiner_training import cross_validation as cv
    from cinetrack.refiner_training.planning import find_plans
    from cinetrack.refiner_training.trained_model import RefinerSettings
    from cinetrack.refiner_training.training_run import model_folder
    from cinetrack.sequence.atomic_write import write_text_atomically

    folders = _folders(args)
    models = model_folder(folders, find_plans(folders, args.plans))
    candidates = [
        RefinerSettings(f"checkpoint_{checkpoint}.pth", step, mirroring == "on", outline_weight)
        for checkpoint in args.checkpoint
        for step in args.tile_step_size
        for mirroring in args.mirroring
        for outline_weight in args.outline_weight
    ]
    numbers = [_fold(text) for text in args.fold] if args.fold else None
    planned = cv.plan_validations(folders, models, args.data, candidates, numbers, args.tracker)
    folds = sorted({validation.fold for validation in planned})
    note(f"folds {', '.join(map(str, folds))}")
    bundles = cv.TrackerBundles(folders.raw, args.bundle)
    trackers = {validation: bundles.of(validation) for validation in planned}  # a missing one is found before the work
    total, done = sum(len(validation.cases) for validation in planned), 0
    scored = {}
    with Progress() as progress:
        for validation, tracker in trackers.items():
            after = total - done - len(validation.cases)
            failed = cv.predict(validation, tracker, models, args.output, args.device, progress, done, after)
            scored[validation] = cv.score(validation, args.output, failed, args.workers)
            done += len(validation.cases)
    code = report_failures([failure for _, failures in scored.values() for failure in failures])
    for name, comparison in cv.compare(cv.write_pooled(scored, args.output)).items():
        tables = comparison_tables(comparison)
        for suffix, write in FORMATS.values():
            write_text_atomically(args.output / name / f"comparison{suffix}", write(tables))
        print(f"## {name}\n\n{FORMATS['markdown'][1](tables[:2])}")
    ranked = cv.rank_candidates(cv.metrics_of(scored, args.output))
    write_text_atomically(args.output / "crossvalidation.json", cv.ranking_document(ranked))
    for candidate in ranked:
        print(f"{candidate.improvement:+8.3f} %  {candidate.settings}")
    if ranked[0].improvement <= 0:
        note("no candidate improves on the tracker alone")
    return code


def _bundle(args: argparse.Namespace) -> int:
    check_output_folder(args.output)
    from cinetrack.refiner_training.planning import find_plans
    from cinetrack.refiner_training.trained_model import RefinerSettings, bundle_refiner
    from cinetrack.refiner_training.training_run import model_folder

    folders = _folders(args)
    checkpoint = f"checkpoint_{args.checkpoint}.pth"
    settings = RefinerSettings(checkpoint, args.tile_step_size, args.mirroring, args.outline_weight)
    bundle = bundle_refiner(
        model_folder(folders, find_plans(folders, args.plans)),
        [_fold(text) for text in args.fold],
        settings,
        args.tracker,
        args.output,
        args.name,
    )
    print(f"{bundle.folder}: {bundle.description}")
    return 0


def _fold(text: str) -> int | str:
    if text != "all" and not text.isdigit():
        raise InputError(f'--folds: expected numbers or "all", found {text}')
    return text if text == "all" else int(text)


ACTIONS = {
    "split": _split,
    "prepare": _prepare,
    "plan": _plan,
    "train": _train,
    "crossvalidate": _crossvalidate,
    "bundle": _bundle,
}
