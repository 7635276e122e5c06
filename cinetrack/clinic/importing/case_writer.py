"""Write planned cases as TrackRAD2025 folders; they appear when all of them are whole."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cinetrack.clinic.importing.case_plan import CasePlan
from cinetrack.clinic.source_record import SourceRecord, record_path, write_source_record
from cinetrack.errors import InputError
from cinetrack.sequence.atomic_write import write_text_atomically
from cinetrack.sequence.cine_sequence import CineSequence
from cinetrack.sequence.drafts import draft_folder
from cinetrack.sequence.image_files import ImageGeometry, write_masks, write_series

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class CaseMasks:
    """A target's masks, as the source's frames lie.

    Attributes:
        masks: (T, rows, columns) bool of every frame, or (1, rows, columns) of the first.
        origin: where they come from, for the log.
    """

    masks: np.ndarray
    origin: str


def write_patients(
    root: Path, plans: list[CasePlan], masks: dict[str, CaseMasks], keep_identifiers: bool = False
) -> list[Path]:
    """Write the cases, one folder a patient, below `root`; returns the folders.

    Args:
        masks: by case id.
        keep_identifiers: write the patient details that the source has into source.json.
    Raises:
        InputError: a value is missing, a folder of that name exists, or the frames cannot be read.
    """
    for plan in plans:
        plan.check_complete()
        if (root / plan.name).exists():
            raise InputError(
                f"{root / plan.name}: expected no case of this name yet; choose another --name or output folder"
            )
    names = list(dict.fromkeys(plan.name for plan in plans))
    root.mkdir(parents=True, exist_ok=True)
    with draft_folder(root / "import") as draft:  # which the next import clears, where this one is killed
        for plan in plans:
            _write_series(draft / plan.name, plan, masks.get(plan.case_id), keep_identifiers)
        for name in names:
            (draft / name).rename(root / name)
    return [root / name for name in names]


def _write_series(folder: Path, plan: CasePlan, masks: CaseMasks | None, keep_identifiers: bool) -> None:
    turn, rate, field, region, spacing = (
        plan.turn,
        plan.frame_rate_hz,
        plan.field_strength_t,
        plan.region,
        plan.grid.spacing_mm,
    )
    assert turn is not None and rate is not None and field is not None and region is not None and spacing is not None
    frames = _storable(plan.series.read())
    expected = (plan.series.frame_count, plan.grid.rows, plan.grid.columns)
    if frames.shape != expected:
        raise InputError(f"{plan.series.path}: expected {expected} frames, rows and columns, found {frames.shape}")
    turned = plan.grid.turned(turn)
    assert turned.spacing_mm is not None
    try:
        sequence = CineSequence(np.ascontiguousarray(turn.apply(frames)), turned.spacing_mm, rate, field, region)
    except InputError as error:
        raise InputError(f"{plan.series.path}: {error}") from None
    geometry = ImageGeometry.in_plane(turned.spacing_mm, turned.thickness_mm or 5.0)  # 5: as the challenge's files have
    stem, scan = plan.name, plan.scan
    write_series(folder / "images" / f"{stem}_frames{scan}.mha", sequence.frames, geometry)
    if masks is not None:
        turned_masks = np.ascontiguousarray(turn.apply(masks.masks))
        write_masks(folder / "targets" / f"{stem}_first_label{scan}.mha", turned_masks[:1], geometry)
        if len(turned_masks) == len(frames):
            write_masks(folder / "targets" / f"{stem}_labels{scan}.mha", turned_masks, geometry)
    write_text_atomically(folder / f"frame-rate{scan}.json", json.dumps(rate))
    write_text_atomically(folder / f"scanned-region{scan}.json", json.dumps(region))
    write_text_atomically(folder / "b-field-strength.json", json.dumps(field))
    record = SourceRecord(
        format=plan.series.format,
        grid=plan.grid,
        turn=turn,
        frame_times_s=plan.series.times.seconds if plan.series.times is not None else (),
        dicom=plan.series.dicom,
        identifiers=plan.series.identifiers if keep_identifiers else {},
    )
    write_source_record(record_path(folder, scan), record)
    logger.info("%s: %s; kept beside it: %s", plan.case_id, plan.orientation, ", ".join(record.kept))


def _storable(frames: np.ndarray) -> np.ndarray:
    """Frames of a number type that MetaImage has."""
    if frames.dtype.kind in "ui" or frames.dtype in (np.float32, np.float64):
        return frames
    return frames.astype(np.float32)
