"""Assemble a model bundle from weights on disk, and check it by loading it."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from cinetrack.bundle.checksum import sha256_of
from cinetrack.bundle.manifest import (
    MANIFEST_NAME,
    Bundle,
    check_box_segmenter,
    manifest_of,
    needed_files,
    open_bundle,
)
from cinetrack.bundle.model_json import read_model_json
from cinetrack.bundle.refiner_spec import REGION_KEY, RefinerSpec
from cinetrack.bundle.tracker_spec import RegistrationSpec, Sam2Spec, StaticSpec, TrackerSpec
from cinetrack.errors import BundleError, InputError
from cinetrack.tracking.motion_compensation import MotionCompensation

WEIGHTLESS = {"registration": RegistrationSpec(), "static": StaticSpec()}


def create_bundle(
    folder: Path,
    tracker: str,
    tracker_config: str | None = None,
    refiner_folder: Path | None = None,
    refiner: RefinerSpec | None = None,
    name: str | None = None,
    box_segmenter: str | None = None,
    region_px: int | None = None,
    motion_compensation: MotionCompensation | None = None,
) -> Bundle:
    """Copy weights and configuration into a new bundle at `folder`, and run it once to check it.

    Args:
        tracker: "registration", "static", the path of a SAM2 checkpoint, or of a bundle whose tracker is taken.
        tracker_config: file name of one of sam2's own SAM2.1 configurations, or the path of a yaml of that schema;
            may be left out where the checkpoint has the name under which Meta publishes it.
        refiner_folder: an nnU-Net trained-model folder, or None for no refiner.
        refiner: how to run it.
        name: of the bundle; its folder's by default.
        box_segmenter: what turns a labeller's box into a mask; None for that of the bundle whose tracker is taken, or
            `Bundle.segmenter`'s default.
        region_px: side of the target's surroundings that SAM2 is shown; None for whole frames, or for what the bundle
            says whose tracker is taken.
        motion_compensation: how SAM2 is shown motion-compensated frames; None for frames as they are, or for what the
            bundle says whose tracker is taken.
    Raises:
        InputError: `folder` is taken, or a file is missing.
        BundleError: the weights do not fit the configuration, or the refiner cannot be run as set.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: expected a new or empty folder for the bundle, found something in it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        draft = Path(temporary) / "bundle"
        draft.mkdir()
        copied: dict[Path, Path] = {}  # where a file of the draft comes from
        source = _bundle_at(tracker)
        if source is not None:
            spec = _copy_tracker(draft, source, tracker_config, copied)
            box_segmenter = box_segmenter or source.box_segmenter
        else:
            spec = _add_tracker(draft, tracker, tracker_config, copied)
        spec = _as_shown(spec, region_px, motion_compensation)
        check_box_segmenter(box_segmenter, spec)
        refiner_spec = None if refiner_folder is None else _add_refiner(draft, refiner_folder, refiner, copied)
        sums = {file: sha256_of(draft / file) for file in needed_files(spec, refiner_spec)}
        manifest = manifest_of(name or folder.resolve().name, spec, refiner_spec, sums, box_segmenter)
        (draft / MANIFEST_NAME).write_text(manifest)
        try:
            check_bundle(draft)
        except BundleError as error:  # which names the draft, gone by the time it is read
            text = str(error)
            for file, origin in copied.items():
                text = text.replace(str(file), str(origin))
            raise BundleError(text.replace(str(draft), str(folder))) from None
        if folder.exists():
            folder.rmdir()
        draft.rename(folder)
    return open_bundle(folder)


def check_bundle(folder: Path) -> Bundle:
    """Open a bundle and run all it holds on a few small frames. Raises BundleError where that cannot be done."""
    from cinetrack.bundle.trial_run import try_bundle  # which needs the pipeline, and that needs bundles

    bundle = open_bundle(folder)
    try_bundle(bundle)
    return bundle


def _bundle_at(tracker: str) -> Bundle | None:
    folder = Path(tracker)
    return open_bundle(folder) if tracker not in WEIGHTLESS and (folder / MANIFEST_NAME).is_file() else None


def _as_shown(spec: TrackerSpec, region_px: int | None, compensation: MotionCompensation | None) -> TrackerSpec:
    wanted = {"region_px": region_px, "motion_compensation": compensation}
    wanted = {name: value for name, value in wanted.items() if value is not None}
    if wanted and not isinstance(spec, Sam2Spec):
        name, value = next(iter(wanted.items()))
        name = name.removesuffix("_px").replace("_", " ")
        raise InputError(f"{name}: expected none with a {spec.kind} tracker, found {value}")
    return replace(spec, **wanted)


def _copy_tracker(draft: Path, source: Bundle, config: str | None, copied: dict[Path, Path]) -> TrackerSpec:
    if config is not None:
        raise InputError(f"tracker configuration: expected none with the bundle {source.folder}, found {config}")
    for name in needed_files(source.tracker, None):
        (draft / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source.folder / name, draft / name)
        copied[draft / name] = source.folder / name
    return source.tracker


def _add_tracker(draft: Path, tracker: str, config: str | None, copied: dict[Path, Path]) -> TrackerSpec:
    if tracker in WEIGHTLESS:
        if config is not None:
            raise InputError(f"tracker configuration: expected none with {tracker}, found {config}")
        return WEIGHTLESS[tracker]
    from cinetrack.tracking.sam2.architecture import PUBLISHED_CONFIGS, guess_config, is_published_config

    checkpoint = Path(tracker)
    if not checkpoint.is_file():
        raise InputError(f"{checkpoint}: expected a SAM2 checkpoint (or registration, or static), found none")
    config = config or guess_config(checkpoint, "--tracker-config")
    _copy_weights(checkpoint, draft / checkpoint.name)
    copied[draft / checkpoint.name] = checkpoint
    if is_published_config(config):
        return Sam2Spec(config, checkpoint.name)
    if not Path(config).is_file():
        raise InputError(
            f"{config}: expected a yaml, or one of {', '.join(PUBLISHED_CONFIGS.values())}, found no such file"
        )
    shutil.copyfile(config, draft / "tracker.yaml")
    copied[draft / "tracker.yaml"] = Path(config)
    return Sam2Spec("tracker.yaml", checkpoint.name)


def _copy_weights(checkpoint: Path, target: Path) -> None:
    """Copy a SAM2 checkpoint, without the optimiser's state that a trainer's has beside the weights."""
    from cinetrack.bundle.checkpoint_file import save_checkpoint
    from cinetrack.bundle.safe_weights import load_weights

    content = load_weights(checkpoint)
    if "model" in content and len(content) > 1:
        save_checkpoint({"model": content["model"]}, target)
    else:
        shutil.copyfile(checkpoint, target)


def _add_refiner(draft: Path, source: Path, wanted: RefinerSpec | None, copied: dict[Path, Path]) -> RefinerSpec:
    spec = wanted or RefinerSpec("refiner")
    for name in spec.files:
        inner = Path(name).relative_to(spec.folder)
        if not (source / inner).is_file():
            raise BundleError(f"{source / inner}: expected a file of an nnU-Net trained-model folder, found none")
        (draft / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / inner, draft / name)
        copied[draft / name] = source / inner
    dataset = read_model_json(source / "dataset.json", finite=False)
    taught = dataset.get(REGION_KEY) if isinstance(dataset, dict) else None
    if taught is not None and taught != spec.region_px:
        found = "none" if spec.region_px is None else spec.region_px
        raise BundleError(f"{source}: expected a refiner region of {taught} px, as it was taught, found {found}")
    return spec
