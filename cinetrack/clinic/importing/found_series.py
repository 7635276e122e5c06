"""What every format's reader gives and the case writer takes, and what a format's module has to offer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from cinetrack.clinic.frame_times import FrameTimes
from cinetrack.clinic.grid import Grid
from cinetrack.clinic.source_record import DicomSeries
from cinetrack.errors import InputError

MOST_PIXELS = 1 << 32


@dataclass(frozen=True, eq=False)
class FoundSeries:
    """A cine-MR series as its headers describe it. None is what the source does not say. Pixels are read by `read`.

    Attributes:
        path: a file or folder to name in messages.
        format: "DICOM", "NIfTI", ...
        frame_count: number of frames, at least 1.
        grid: of the frames as the source has them.
        read: gives the frames, (T, rows, columns), as the source has them.
        patient: which series belong together; compared, never written into a case.
        description: for the table only, never written into a case.
        times: when the frames were acquired.
        stated_rate_hz: frame rate that the source states without times.
        field_strength_t, region: as the source states them.
        dicom: the instances that the frames come from.
        identifiers: patient details by DICOM keyword; written only where they are asked for.
        notes: what a person should know of it.
    """

    path: Path
    format: str
    frame_count: int
    grid: Grid
    read: Callable[[], np.ndarray]
    patient: str
    description: str = ""
    times: FrameTimes | None = None
    stated_rate_hz: float | None = None
    field_strength_t: float | None = None
    region: str | None = None
    dicom: DicomSeries | None = None
    identifiers: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        pixels = self.frame_count * self.grid.rows * self.grid.columns
        if not 0 < pixels <= MOST_PIXELS:  # a small damaged file may promise far more
            raise InputError(f"{self.path}: expected 1 to {MOST_PIXELS} pixels over all frames, found {pixels}")


class SeriesFormat(Protocol):
    """A module that finds the series of one format."""

    NAME: str

    def recognises(self, path: Path) -> bool:
        """Whether a file is of this format; reads a few bytes at most."""
        ...

    def find(self, files: Sequence[Path]) -> list[FoundSeries]:
        """The series in files that were recognised. Raises InputError naming the file that cannot be used."""
        ...
