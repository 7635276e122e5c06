"""`source.json` beside an imported case: where its frames came from, so that masks find the way back.

It holds geometry, frame times and, of DICOM, the unique identifiers (UIDs) that an export has to refer to. Names, dates
and numbers of the patient are in it only where they were asked for. The record says what it keeps; without it a case
is a TrackRAD2025 case like any other, and nothing leads back to its source.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cinetrack.clinic.grid import Grid, Placement, Turn, Vector
from cinetrack.errors import InputError
from cinetrack.sequence.atomic_write import write_text_atomically
from cinetrack.sequence.json_files import read_json

VERSION = 1


@dataclass(frozen=True)
class DicomSeries:
    """The instances that a series' frames come from, in the case's order of frames.

    Attributes:
        study_uid, series_uid, frame_of_reference_uid: the last is "" where the source has none.
        class_uids, instance_uids: SOP Class and SOP Instance UID of each frame.
        frame_numbers: each frame's number (from 1) in a multi-frame instance; None for single-frame instances.
    """

    study_uid: str
    series_uid: str
    frame_of_reference_uid: str
    class_uids: tuple[str, ...]
    instance_uids: tuple[str, ...]
    frame_numbers: tuple[int | None, ...]


@dataclass(frozen=True)
class SourceRecord:
    """Where a case came from.

    Attributes:
        format: "DICOM", "NIfTI", ...
        grid: of the frames as the source has them.
        turn: from the source's frames to the case's.
        frame_times_s: (T,) seconds from the first frame; empty where the source does not say.
        dicom: None where the source was not DICOM.
        identifiers: patient details by DICOM keyword; empty unless asked for.
    """

    format: str
    grid: Grid
    turn: Turn
    frame_times_s: tuple[float, ...] = ()
    dicom: DicomSeries | None = None
    identifiers: dict[str, str] = field(default_factory=dict)

    @property
    def kept(self) -> list[str]:
        """What the record holds, for people."""
        kept = ["geometry"]
        kept += ["frame times from the first frame"] if self.frame_times_s else []
        kept += ["UIDs of study, series, frame of reference and instances"] if self.dicom else []
        return kept + sorted(self.identifiers)


def record_path(patient_folder: Path, scan: str) -> Path:
    """Where the record of a patient's series lies; `scan` is "" for the first series, "2", "3", ... for others."""
    return patient_folder / f"source{scan}.json"


def write_source_record(path: Path, record: SourceRecord) -> None:
    """Write the record as json, atomically."""
    content = {"version": VERSION, "kept": record.kept, **dataclasses.asdict(record)}
    write_text_atomically(path, json.dumps(content, indent=1))


def read_source_record(path: Path) -> SourceRecord | None:
    """The record at `path`; None where there is none. Raises InputError where it is damaged."""
    if not path.exists():
        return None
    content = read_json(path)
    if not isinstance(content, Mapping) or content.get("version") != VERSION:
        found = content.get("version") if isinstance(content, Mapping) else type(content).__name__
        raise InputError(f"{path}: expected a source record of version {VERSION}, found {found}")
    try:
        return _from_json(content)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: expected a source record, found a damaged one ({error!r})") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _from_json(content: Mapping[str, Any]) -> SourceRecord:
    grid, dicom = content["grid"], content["dicom"]
    placement = grid["placement"]
    return SourceRecord(
        format=str(content["format"]),
        grid=Grid(
            int(grid["rows"]),
            int(grid["columns"]),
            None if grid["spacing_mm"] is None else (float(grid["spacing_mm"][0]), float(grid["spacing_mm"][1])),
            None if placement is None else Placement(**{key: _vector(placement[key]) for key in placement}),
            None if grid["thickness_mm"] is None else float(grid["thickness_mm"]),
        ),
        turn=Turn(**{key: bool(value) for key, value in content["turn"].items()}),
        frame_times_s=tuple(float(value) for value in content["frame_times_s"]),
        dicom=None
        if dicom is None
        else DicomSeries(
            str(dicom["study_uid"]),
            str(dicom["series_uid"]),
            str(dicom["frame_of_reference_uid"]),
            tuple(str(uid) for uid in dicom["class_uids"]),
            tuple(str(uid) for uid in dicom["instance_uids"]),
            tuple(None if number is None else int(number) for number in dicom["frame_numbers"]),
        ),
        identifiers={str(key): str(value) for key, value in content["identifiers"].items()},
    )


def _vector(values: Any) -> Vector:
    x, y, z = (float(value) for value in values)
    return x, y, z
