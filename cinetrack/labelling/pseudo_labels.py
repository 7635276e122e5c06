"""Pseudo-labels: every labelled sequence of a store tracked through, in the form that fine-tuning reads.

    <output>/<case>/masks.mha     (row, column, time) uint8 indices of the objects, compressed, the series' geometry
    <output>/<case>/scores.json   see `track_scores`
    <output>/<case>/meta.json     the label, the model, and which frames may be trained on; written last

<case> is the case id as `safe_name` writes it; the id itself is in meta.json. A folder with meta.json is finished.
The bundle's whole method makes them, as in every other command. The paper's are SAM2's alone, with their holes filled:
a bundle without nnU-Net gives these.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import cinetrack
from cinetrack.bundle import Bundle
from cinetrack.errors import InputError
from cinetrack.labelling.frame_spool import Spool, open_frames, write_indexed_series
from cinetrack.labelling.given_prompts import prompts_to_json
from cinetrack.labelling.label_book import LabelBook, LabelVersion
from cinetrack.labelling.propagation import propagate
from cinetrack.labelling.segmenters import segmenter_of
from cinetrack.labelling.store import safe_name
from cinetrack.labelling.track_scores import scores_json, scores_of
from cinetrack.pipeline.model import Model
from cinetrack.runs.failure import Failure
from cinetrack.runs.jobs import OnFrame, OtherModelError
from cinetrack.sequence import CaseFiles
from cinetrack.sequence.atomic_write import write_text_atomically
from cinetrack.sequence.json_files import read_json

MASKS_NAME, SCORES_NAME, META_NAME = "masks.mha", "scores.json", "meta.json"


@dataclass(frozen=True)
class LabelledCase:
    """A sequence and the label that it is to be tracked from."""

    case: CaseFiles
    version: LabelVersion

    @property
    def frame_count(self) -> int:
        """Frames of the sequence, as noted when it was labelled."""
        return self.version.meta.frame_count


def labelled_cases(cases: list[CaseFiles], book: LabelBook) -> list[LabelledCase]:
    """The cases that the store holds a label of, in the dataset's order; bad images are left out."""
    current = book.all_current()
    found = [LabelledCase(case, current[case.case_id]) for case in cases if case.case_id in current]
    return [labelled for labelled in found if labelled.version.meta.kind == "label"]


def damaged_labels(cases: list[CaseFiles], book: LabelBook) -> list[Failure]:
    """The cases whose label cannot be read: they must not pass for cases that nobody has labelled."""
    damaged = book.damaged()
    names = {case.case_id: safe_name(case.case_id) for case in cases}
    return [Failure(case_id, damaged[name]) for case_id, name in names.items() if name in damaged]


@dataclass(frozen=True)
class PropagationJob:
    """Track a labelled sequence into a folder below `output`, with this bundle's model."""

    labelled: LabelledCase
    book: LabelBook
    output: Path
    bundle: Bundle

    @property
    def name(self) -> str:
        """The case's."""
        return self.labelled.case.case_id

    def is_done(self) -> bool:
        """Whether this label's sequence is there; a newer version of the label is tracked again, in its place."""
        path = self.output / safe_name(self.name) / META_NAME
        if not path.exists():
            return False
        try:
            meta = read_json(path)
        except InputError:
            return False
        found = meta.get("bundle_fingerprint") if isinstance(meta, dict) else None
        if found != self.bundle.fingerprint:
            raise OtherModelError(
                f"{path}: expected pseudo-labels of the bundle {self.bundle.name}, found some of another; "
                "choose another output folder or pass --overwrite"
            )
        return bool(meta.get("label_folder") == self.labelled.version.folder)

    def do(self, model: Model, on_frame: OnFrame) -> None:
        """Track and write."""
        propagate_case(self.labelled, self.book, self.output, model, on_frame)


def propagate_case(
    labelled: LabelledCase,
    book: LabelBook,
    output: Path,
    model: Model,
    on_frame: OnFrame = lambda done, total: None,
) -> Path:
    """Track one labelled sequence and write its folder; returns it. Frames and masks pass through the disk.

    A killed process leaves the folder as it was before, or without meta.json; either way the sequence is not finished.

    Raises:
        InputError: the series or the label is unusable, or they do not belong together.
    """
    label = book.read(labelled.version)
    folder = output / safe_name(labelled.case.case_id)
    folder.mkdir(parents=True, exist_ok=True)
    frames = open_frames(labelled.case, folder)
    if label.masks is None:
        raise InputError(f"{labelled.version.folder}: expected a label with masks, found a bad image")
    if label.masks.shape != frames.shape[1:]:
        raise InputError(
            f"{labelled.case.series_path}: expected the {label.masks.shape} pixels of its label "
            f"{labelled.version.folder}, found {frames.shape[1:]}"
        )
    masks = Spool(frames.shape, np.dtype(np.uint8), folder)
    scores = []
    try:
        for frame in propagate(model.chain, segmenter_of(model), frames, frames.geometry.spacing_mm, label.prompts):
            masks[frame.index] = frame.objects
            scores.append(scores_of(frame))
            on_frame(len(scores), len(frames))
        (folder / META_NAME).unlink(missing_ok=True)  # of an older label: masks and meta must belong together
        write_indexed_series(folder / MASKS_NAME, masks, frames.geometry)
        write_text_atomically(folder / SCORES_NAME, scores_json(scores))
        meta = pseudo_label_meta(labelled, model, len(frames), len(scores[0][0]), prompts_to_json(label.prompts))
        write_text_atomically(folder / META_NAME, json.dumps(meta, indent=1))
    finally:
        frames.close()
        masks.close()
    return folder


def pseudo_label_meta(
    labelled: LabelledCase, model: Model, frame_count: int, object_count: int, prompts: list[dict[str, Any]]
) -> dict[str, Any]:
    """The content of meta.json. `accepted_frames` is all of them until quality control says otherwise."""
    return {
        "case_id": labelled.case.case_id,
        "patient_id": labelled.case.patient_id,
        "series": labelled.case.series_path.name,
        "frame_count": frame_count,
        "object_count": object_count,
        "accepted_frames": list(range(frame_count)),
        "bundle": model.bundle.name,
        "bundle_fingerprint": model.bundle.fingerprint,
        "tracker": model.chain.name,
        "precision": model.chain.precision,
        "tool_version": cinetrack.__version__,
        "label_folder": labelled.version.folder,
        "label": asdict(labelled.version.meta),
        "prompts": prompts,
    }
