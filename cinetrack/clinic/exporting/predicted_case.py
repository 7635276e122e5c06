"""A predicted case with all that an export needs, and what a format's module has to offer."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from cinetrack.clinic.grid import PLANES, Grid, Placement
from cinetrack.clinic.source_record import SourceRecord, read_source_record, record_path
from cinetrack.errors import InputError
from cinetrack.evaluation.prediction_folder import find_predictions, prediction_file
from cinetrack.runs.record import read_record
from cinetrack.sequence.image_files import image_facts, read_index_masks, read_series
from cinetrack.sequence.trackrad_dataset import CaseFiles, find_cases

LONGEST_NAME = 64  # of DICOM's long strings, in which a backslash would part two values


@dataclass(frozen=True, eq=False)
class PredictedCase:
    """A case's predicted masks, as the case's frames lie.

    Attributes:
        labels: (T, H, W) uint8, 0 background, 1, 2, ... the targets.
        target_names: of the targets 1, 2, ...
        grid: of the case's frames, placed in the patient.
        is_placed: whether the placement is the source's; else it is the challenge's sagittal plane at the origin.
        times_s: (T,) seconds from the first frame.
        scores: the tracker's score of each frame, None where it gave none.
        record: where the case came from; None of cases that were not imported.
        path: of the masks, for messages.
        made_at: when the masks were written.
        series_path: of the case's frames.
    """

    case_id: str
    labels: np.ndarray
    target_names: tuple[str, ...]
    grid: Grid
    is_placed: bool
    times_s: tuple[float, ...]
    frame_rate_hz: float
    scores: tuple[float | None, ...]
    record: SourceRecord | None
    path: Path
    made_at: datetime.datetime
    series_path: Path

    def target(self, number: int) -> np.ndarray:
        """(T, H, W) bool masks of a target, numbered from 1."""
        mask: np.ndarray = self.labels == number
        return mask


@dataclass(frozen=True)
class ExportOptions:
    """What the person who exports chooses.

    Attributes:
        with_patient: write the patient details that the case's record has, where a format has a place for them.
    """

    with_patient: bool = True


class ExportFormat(Protocol):
    """A module that writes one format."""

    HELP: str

    def write(self, case: PredictedCase, folder: Path, options: ExportOptions) -> Path:
        """Write a case below `folder`; returns the file. Raises InputError where the case lacks what is needed."""
        ...


def read_predicted_cases(
    predictions: Path, dataset: Path | None, target_names: Sequence[str]
) -> Iterator[PredictedCase]:
    """The cases of a folder of predictions, one after the other.

    Args:
        dataset: the folder of the cases that were tracked; by default the one that the predictions' records name.
        target_names: of the targets 1, 2, ...; by default "target", or "target 1", "target 2", ... of several.
    Raises:
        InputError: a prediction without its case, or of other frames than the case's.
    """
    for name in target_names:
        if not name.strip() or len(name) > LONGEST_NAME or "\\" in name or not name.isprintable():
            raise InputError(
                f"target name: expected 1 to {LONGEST_NAME} printable characters without a backslash, found {name!r}"
            )
    given = None if dataset is None else find_cases(dataset)
    only_case = given[0].case_id if given is not None and len(given) == 1 else None
    for case_id, folder in find_predictions(predictions, only_case).items():
        yield _read(folder, _case_of(folder, case_id, dataset), target_names)


def _case_of(folder: Path, case_id: str, dataset: Path | None) -> CaseFiles:
    root = dataset or read_record(folder).dataset
    if root is None:
        raise InputError(
            f"{folder}: expected a record that names the tracked cases' folder, found none; give --dataset"
        )
    if not root.is_dir():
        raise InputError(f"{root}: expected the tracked cases, found none; give --dataset")
    case = next((case for case in find_cases(root) if case.case_id == case_id), None)
    if case is None:
        raise InputError(f"{folder}: expected the prediction of a case in {root}, found none called {case_id}")
    return case


def _read(folder: Path, case: CaseFiles, names: Sequence[str]) -> PredictedCase:
    path = prediction_file(folder)
    frames, geometry = read_series(case.series_path)
    shape = image_facts(path, "masks of objects")[0]
    if shape != frames.shape:  # from the header: what does not belong here is not inflated
        raise InputError(f"{path}: expected masks of {frames.shape} frames, rows and columns, found {shape}")
    labels, _ = read_index_masks(path)
    record = read_source_record(record_path(case.folder, case.scan))
    count = max(1, int(labels.max()))
    if names and len(names) < count:
        raise InputError(f"{path}: expected a name for each of {count} targets, found {len(names)}")
    chosen = (
        tuple(names[:count]) if names else ("target",) if count == 1 else tuple(f"target {n + 1}" for n in range(count))
    )
    rate = case.frame_rate_hz()
    times = record.frame_times_s if record is not None and record.frame_times_s else ()
    times = times or tuple(index / rate for index in range(len(labels)))
    if len(times) != len(labels):
        raise InputError(f"{path}: expected {len(times)} frames as in the case's source record, found {len(labels)}")
    grid, is_placed = _grid(path, record, frames.shape[1:], geometry.spacing_mm)
    scores = list(read_record(folder).object_score)
    return PredictedCase(
        case_id=case.case_id,
        labels=labels,
        target_names=chosen,
        grid=grid,
        is_placed=is_placed,
        times_s=times,
        frame_rate_hz=rate,
        scores=tuple(scores if len(scores) == len(labels) else [None] * len(labels)),
        record=record,
        path=path,
        made_at=datetime.datetime.fromtimestamp(int(path.stat().st_mtime)),
        series_path=case.series_path,
    )


def _grid(
    path: Path, record: SourceRecord | None, shape: tuple[int, ...], spacing_mm: tuple[float, float]
) -> tuple[Grid, bool]:
    """The grid of the case's frames, and whether the source placed it."""
    _, rows_grow, columns_grow = PLANES[0]
    grid = Grid(shape[0], shape[1], spacing_mm) if record is None else record.grid.turned(record.turn)
    if (grid.rows, grid.columns) != tuple(shape):
        raise InputError(
            f"{path}: expected {grid.rows} x {grid.columns} px as in the case's source record, found {shape}"
        )
    if grid.placement is not None:
        return grid, True
    placement = Placement((0.0, 0.0, 0.0), columns_grow, rows_grow)
    return Grid(grid.rows, grid.columns, grid.spacing_mm, placement, grid.thickness_mm), False
