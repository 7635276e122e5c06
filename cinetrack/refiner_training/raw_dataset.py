"""nnU-Net's raw dataset: one sample a frame, its channels the last frames' images and the tracker's masks.

Every frame is one PNG, whatever the number of windows that show it: dataset.json lists each sample's files, which
nnU-Net allows in place of its naming scheme, and its own PNG reader gives just the numbers that `FrameWindow` holds.
"""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cinetrack.errors import InputError
from cinetrack.pipeline.model import Model
from cinetrack.pipeline.track_case import track_whole
from cinetrack.refinement.settings import REGION_KEY
from cinetrack.refiner_training.mask_perturbation import perturb_masks
from cinetrack.refiner_training.mask_sources import MaskSource
from cinetrack.refiner_training.outline_bias import biased, outline_bias
from cinetrack.refiner_training.patient_folds import Folds, splits_of, write_folds
from cinetrack.refiner_training.sample_settings import MaskSettings, WindowSettings
from cinetrack.runs.jobs import OtherModelError
from cinetrack.sequence import CaseFiles, find_cases
from cinetrack.sequence.atomic_write import atomic_folder, write_text_atomically
from cinetrack.sequence.image_files import image_facts
from cinetrack.sequence.intensity import min_max_8bit
from cinetrack.sequence.json_files import read_json
from cinetrack.sequence.trackrad_dataset import check_each_once
from cinetrack.tracking.prompts import MaskPrompt
from cinetrack.tracking.region import Region
from cinetrack.tracking.stabilisation.stabiliser import stabilised_clip

# METHOD: the paper's names; nnU-Net normalises channels of unknown names by their z-score.
IMAGE_CHANNEL, MASK_CHANNEL = "raw_image", "suggested_mask"
LABELS = {"background": 0, "lesion": 1}


def labelled_cases(datasets: Sequence[Path]) -> list[CaseFiles]:
    """The cases with labels of every frame.

    Raises:
        InputError: a dataset has none, or two datasets have cases of one name.
    """
    found: list[CaseFiles] = []
    for dataset in datasets:
        labelled = [case for case in find_cases(dataset) if case.labels_path is not None]
        if not labelled:
            raise InputError(f"{dataset}: expected cases with targets/<patient>_labels.mha, found none")
        found += labelled
    check_each_once(found)
    return found


def is_prepared(raw: Path, case: CaseFiles, source: MaskSource, fingerprint: str, settings: MaskSettings) -> bool:
    """Whether a case's masks of this very tracker are there.

    Raises:
        OtherModelError: there are masks of another bundle, or perturbed otherwise; they must not mix.
    """
    path = _record_path(raw, source.name, case.case_id)
    if not path.exists():
        return False
    try:
        record = read_json(path)
    except InputError:
        return False
    wanted = {"bundle_fingerprint": fingerprint, **asdict(settings)}
    if not settings.perturb and settings.outline_bias_px is None:
        del wanted["seed"]  # it then decides the folds alone
    found = {key: record.get(key) if isinstance(record, dict) else None for key in wanted}
    if found != wanted:
        key = next(key for key in wanted if found[key] != wanted[key])
        raise OtherModelError(
            f"{path}: expected masks made with {key} {wanted[key]}, found {found[key]}; "
            "choose another output or dataset id, or pass --overwrite"
        )
    return True


def prepare_case(raw: Path, case: CaseFiles, source: MaskSource, model: Model, settings: MaskSettings) -> None:
    """Track a case and write its frames, labels and masks, the record last. Raises InputError naming a bad file."""
    loaded = case.read_case()
    frames = loaded.case.sequence.frames
    shape, _ = image_facts(case.labels_file(), "a mask")
    if shape != frames.shape:  # from the header: what does not belong here is not inflated
        raise InputError(f"{case.labels_path}: expected labels of shape {frames.shape}, found {shape}")
    labels = case.read_labels()
    record_path = _record_path(raw, source.name, case.case_id)
    if settings.region_px is None:
        shown = track_whole(loaded.case, model.chain).masks
    else:  # a source: it is shown the outline, which keeps its place on stabilised frames
        outline = loaded.case.first_mask
        stabilised, stabilised_labels = stabilised_clip(frames, labels[:, None], outline)
        region = Region.around(MaskPrompt(outline), settings.region_px, frames.shape[1:])
        frames, labels, shown = (
            np.stack([region.cut(image) for image in images])
            for images in (stabilised, stabilised_labels[:, 0], np.repeat(outline[None], len(stabilised), axis=0))
        )
        if settings.outline_bias_px is not None:
            bias = outline_bias(shown[0], settings.outline_bias_px, settings.generator(case.case_id))
            if biased(shown[:1], bias).any():  # a target of a few pixels may fall between the samples
                labels, shown = biased(labels, bias), biased(shown, bias)
    perturbed, episodes = perturb_masks(shown, settings.perturb, settings.generator(case.case_id, source.name))
    write_pngs(raw / "frames" / case.case_id, np.stack([min_max_8bit(frame) for frame in frames]))
    write_pngs(raw / "labels" / case.case_id, labels.astype(np.uint8))
    write_pngs(raw / "masks" / source.name / case.case_id, perturbed.astype(np.uint8))
    record = {
        "case": case.case_id,
        "patient": case.patient_id,
        "tracker": source.name,
        "bundle": model.bundle.name,
        "bundle_fingerprint": model.bundle.fingerprint,
        "bundle_folder": str(model.bundle.folder.absolute()),
        "device": model.device,
        "frames": len(frames),
        **asdict(settings),
        "episodes": [asdict(episode) for episode in episodes],
    }
    write_text_atomically(record_path, json.dumps(record, indent=1) + "\n")


def unprepared(raw: Path, cases: Sequence[CaseFiles], sources: Sequence[MaskSource]) -> list[str]:
    """Names of the cases and trackers whose masks are not there yet."""
    return [
        f"{case.case_id} ({source.name})"
        for source in sources
        for case in cases
        if not _record_path(raw, source.name, case.case_id).exists()
    ]


def write_dataset(
    raw: Path,
    cases: Sequence[CaseFiles],
    sources: Sequence[MaskSource],
    folds: Folds,
    settings: WindowSettings,
    region_px: int | None = None,
) -> int:
    """Write what makes the prepared cases an nnU-Net dataset: dataset.json, and the splits by patient.

    Args:
        region_px: with which the masks were made, as `MaskSettings`; the window then keeps the first frame.
    Returns:
        The number of samples.
    """
    dataset: dict[str, Any] = {}
    samples: dict[str, dict[str, Any]] = {}
    for source in sources:
        for case in cases:
            frames = read_json(_record_path(raw, source.name, case.case_id))["frames"]
            # Cases start apart, so that every phase of the window's filling is seen.
            first = 1 + zlib.crc32(case.case_id.encode()) % settings.every
            for frame in range(first, frames, settings.every):
                name = f"{case.case_id}__{source.name}__{frame:04d}"
                keep_first = region_px is not None
                dataset[name] = sample_files(case.case_id, source.name, frame, settings.window, keep_first)
                samples[name] = {
                    "patient": case.patient_id,
                    "case": case.case_id,
                    "tracker": source.name,
                    "frame": frame,
                }
    channels = 2 * settings.window
    dataset_json = {
        "channel_names": {str(index): (IMAGE_CHANNEL, MASK_CHANNEL)[index % 2] for index in range(channels)},
        "labels": LABELS,
        "numTraining": len(dataset),
        "file_ending": ".png",
        **({} if region_px is None else {REGION_KEY: region_px}),
        "dataset": dataset,
    }
    splits = splits_of(folds, {name: sample["patient"] for name, sample in samples.items()})
    write_folds(raw / "folds.json", folds)
    for name, content in (("samples", samples), ("splits_final", splits), ("dataset", dataset_json)):
        write_text_atomically(raw / f"{name}.json", json.dumps(content, indent=1) + "\n")
    return len(dataset)


def sample_files(case_id: str, tracker: str, frame: int, window: int, keep_first: bool = False) -> dict[str, Any]:
    """A sample's entry in dataset.json: the files of its channels, oldest frame first, and its label's.

    Before there are enough frames the first one fills the gap, and with `keep_first` it is always the first in the
    window, as in `FrameWindow`.
    """
    images = []
    kept = [0] if keep_first else []
    for index in [*kept, *range(frame - window + 1 + len(kept), frame + 1)]:
        name = f"{max(index, 0):04d}.png"
        images += [f"frames/{case_id}/{name}", f"masks/{tracker}/{case_id}/{name}"]
    return {"images": images, "label": f"labels/{case_id}/{frame:04d}.png"}


def write_pngs(folder: Path, images: np.ndarray) -> None:
    """Write (T, H, W) uint8 images as 0000.png, 0001.png, ...; the folder appears when all are written."""
    with atomic_folder(folder) as temporary:
        for index, image in enumerate(images):
            path = temporary / f"{index:04d}.png"
            if not cv2.imwrite(str(path), image):
                raise OSError(f"{path}: could not be written")
        shutil.rmtree(folder, ignore_errors=True)


def read_case_record(raw: Path, tracker: str, case_id: str) -> dict[str, Any]:
    """What `prepare_case` noted of a case. Raises InputError where there is nothing."""
    path = _record_path(raw, tracker, case_id)
    record = read_json(path)
    if not isinstance(record, dict) or not isinstance(record.get("bundle_fingerprint"), str):
        raise InputError(f"{path}: expected the record of a prepared case, found something else")
    return record


def _record_path(raw: Path, tracker: str, case_id: str) -> Path:
    return raw / "tracked" / tracker / f"{case_id}.json"
