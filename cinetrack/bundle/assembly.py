"""Assemble a model bundle from weights on disk, and check it by loading it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cinetrack.bundle.checksum import sha256_of
from cinetrack.bundle.lookup import bundled, find_bundle, shipped_names
from cinetrack.bundle.manifest import (
    MANIFEST_NAME,
    WEIGHTLESS,
    Bundle,
    Method,
    check_box_segmenter,
    check_method,
    manifest_of,
    open_bundle,
)
from cinetrack.bundle.model_json import read_model_json
from cinetrack.errors import BundleError, InputError
from cinetrack.refinement.settings import REGION_KEY
from cinetrack.runs.failure import NO_ROOM
from cinetrack.sequence.drafts import draft_folder
from cinetrack.tracking.evidence.nnunet import NnunetSourceSettings
from cinetrack.tracking.evidence.outline import OutlineSettings
from cinetrack.tracking.evidence.sam2 import Sam2Settings
from cinetrack.tracking.kinds import StageSettings
from cinetrack.tracking.postprocessing.nnunet_redraw import NnunetRedrawSettings
from cinetrack.tracking.stabilisation import Stabiliser


NnunetStage = NnunetSourceSettings | NnunetRedrawSettings


def create_bundle(
    folder: Path,
    tracker: str,
    *,
    tracker_config: str | None = None,
    region_px: int | None = None,
    stabilise: bool = False,
    outline_weight: float | None = None,
    refiner_folder: Path | None = None,
    refiner: NnunetStage | None = None,
    name: str | None = None,
    box_segmenter: str | None = None,
) -> Bundle:
    """Copy weights and configuration into a new bundle at `folder`, and run it once to check it.

    Args:
        tracker: "registration", "static", the path of a SAM2 checkpoint, or of a bundle whose tracker is taken.
        tracker_config: file name of one of sam2's own SAM2.1 configurations, or the path of a yaml of that schema;
            may be left out where the checkpoint has the name under which Meta publishes it.
        region_px: side of the target's surroundings that SAM2 is shown; None for whole frames, or for what the bundle
            says whose tracker is taken.
        stabilise: whether the sources are shown stabilised frames; where a bundle's tracker is taken, it decides too.
        outline_weight: of the prompted outline as a source beside SAM2 or nnU-Net; None for none, or for the tracker's.
        refiner_folder: an nnU-Net trained-model folder, or None for no nnU-Net.
        refiner: as which stage it is run and how; the paper's by default.
        name: of the bundle; its folder's by default.
        box_segmenter: what turns a labeller's box into a mask; None for that of the bundle whose tracker is taken, or
            `Bundle.segmenter`'s default.
    Raises:
        InputError: `folder` is taken, or a file is missing.
        BundleError: the weights do not fit the configuration, or the stages cannot be run as set.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: expected a new or empty folder for the bundle, found something in it")
    with draft_folder(folder) as temporary:
        draft = temporary / "bundle"
        draft.mkdir()
        copied: dict[Path, Path] = {}  # where a file of the draft comes from
        try:
            source = _bundle_at(tracker)
            if source is not None:
                method = _copy_tracker(draft, source, tracker_config, copied)
                box_segmenter = box_segmenter or source.box_segmenter
            else:
                method = _add_tracker(draft, tracker, tracker_config, copied)
            method = _as_shown(method, region_px, stabilise, outline_weight)
            if refiner_folder is not None:
                added = _add_refiner(draft, refiner_folder, refiner or NnunetRedrawSettings(), copied)
                method = _with_refiner(method, added)
            check_method(method)
            check_box_segmenter(box_segmenter, method)
            sums = {file: sha256_of(draft / file) for file in method.files}
            (draft / MANIFEST_NAME).write_text(manifest_of(name or folder.resolve().name, method, sums, box_segmenter))
            check_bundle(draft)
        except BundleError as error:  # which names the draft, gone by the time it is read
            text = str(error)
            for file, origin in copied.items():
                text = text.replace(str(file), str(origin))
            raise BundleError(text.replace(str(draft), str(folder))) from None
        except OSError as error:
            if error.errno in NO_ROOM:  # copying names the file that it comes from, where there is room
                raise OSError(error.errno, os.strerror(error.errno), str(folder)) from None
            raise
        if folder.exists():
            folder.rmdir()
        draft.rename(folder)
    return open_bundle(folder)


def check_bundle(folder: Path) -> Bundle:
    """Open a bundle, by folder or shipped name, and run all it holds on a few small frames.

    Raises:
        BundleError: it cannot be opened or run.
    """
    from cinetrack.bundle.trial_run import try_bundle  # which needs the pipeline, and that needs bundles

    bundle = find_bundle(folder)
    try_bundle(bundle)
    return bundle


def _bundle_at(tracker: str) -> Bundle | None:
    if tracker in WEIGHTLESS:
        return None
    folder = bundled(tracker) if tracker in shipped_names() else Path(tracker)
    return open_bundle(folder) if (folder / MANIFEST_NAME).is_file() else None


def _as_shown(method: Method, region_px: int | None, stabilise: bool, outline_weight: float | None) -> Method:
    """The method with the frames shown to its sources as asked for."""
    if region_px is not None:
        if method.sam2 is None:
            raise InputError(f"region: expected none with {method.name}, found {region_px}")
        method = _with_sources(method, [_in_region(source, region_px) for source in method.sources])
    if stabilise and method.stabilisation is None:
        if method.sam2 is None:
            raise InputError(f"stabilisation: expected none with {method.name}, found it; take registration")
        method = replace(method, stabilisation=Stabiliser())
    if outline_weight is not None:
        if method.stabilisation is None:
            raise InputError(f"outline weight: expected stabilised frames with it, found none ({outline_weight})")
        others = [source for source in method.sources if not isinstance(source, OutlineSettings)]
        method = _with_sources(method, [OutlineSettings(outline_weight), *others])
    return method


def _with_sources(method: Method, sources: Sequence[StageSettings]) -> Method:
    return replace(method, sources=tuple(sources))


def _in_region(source: StageSettings, region_px: int) -> StageSettings:
    return replace(source, region_px=region_px) if isinstance(source, Sam2Settings) else source


def _with_refiner(method: Method, refiner: NnunetStage) -> Method:
    if isinstance(refiner, NnunetRedrawSettings):
        return replace(method, postprocessing=(refiner, *method.postprocessing))
    # It is taught on frames along the chosen flow, not along registration's own.
    stabilisation = method.stabilisation and Stabiliser()
    return replace(method, sources=(*method.sources, refiner), stabilisation=stabilisation)


def _copy_tracker(draft: Path, source: Bundle, config: str | None, copied: dict[Path, Path]) -> Method:
    if config is not None:
        raise InputError(f"tracker configuration: expected none with the bundle {source.folder}, found {config}")
    tracker = source.method.tracker()
    for name in tracker.files:
        (draft / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source.folder / name, draft / name)
        copied[draft / name] = source.folder / name
    return tracker


def _add_tracker(draft: Path, tracker: str, config: str | None, copied: dict[Path, Path]) -> Method:
    if tracker in WEIGHTLESS:
        if config is not None:
            raise InputError(f"tracker configuration: expected none with {tracker}, found {config}")
        return WEIGHTLESS[tracker]
    from cinetrack.tracking.evidence.sam2.architecture import PUBLISHED_CONFIGS, guess_config, is_published_config

    checkpoint = Path(tracker)
    if not checkpoint.is_file():
        raise InputError(f"{checkpoint}: expected a SAM2 checkpoint (or registration, or static), found none")
    config = config or guess_config(checkpoint, "--tracker-config")
    _copy_weights(checkpoint, draft / checkpoint.name)
    copied[draft / checkpoint.name] = checkpoint
    if is_published_config(config):
        return Method((Sam2Settings(config, checkpoint.name),))
    if not Path(config).is_file():
        raise InputError(
            f"{config}: expected a yaml, or one of {', '.join(PUBLISHED_CONFIGS.values())}, found no such file"
        )
    shutil.copyfile(config, draft / "tracker.yaml")
    copied[draft / "tracker.yaml"] = Path(config)
    return Method((Sam2Settings("tracker.yaml", checkpoint.name),))


def _copy_weights(checkpoint: Path, target: Path) -> None:
    """Copy a SAM2 checkpoint, without the optimiser's state that a trainer's has beside the weights."""
    from cinetrack.bundle.checkpoint_file import save_checkpoint
    from cinetrack.bundle.safe_weights import load_weights

    content = load_weights(checkpoint)
    if "model" in content and len(content) > 1:
        save_checkpoint({"model": content["model"]}, target)
    else:
        shutil.copyfile(checkpoint, target)


def _add_refiner(draft: Path, source: Path, settings: NnunetStage, copied: dict[Path, Path]) -> NnunetStage:
    for name in settings.files:
        inner = Path(name).relative_to(settings.folder)
        if not (source / inner).is_file():
            raise BundleError(f"{source / inner}: expected a file of an nnU-Net trained-model folder, found none")
        (draft / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / inner, draft / name)
        copied[draft / name] = source / inner
    dataset = read_model_json(source / "dataset.json", finite=False)
    taught = dataset.get(REGION_KEY) if isinstance(dataset, dict) else None
    given = settings.region_px if isinstance(settings, NnunetSourceSettings) else None
    if taught is not None and taught != given:
        found = "none" if given is None else given
        raise BundleError(f"{source}: expected a refiner region of {taught} px, as it was taught, found {found}")
    return settings
