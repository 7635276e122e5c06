"""A case tracked: its masks as the platform wants them, and the record that says what made them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from cinetrack.errors import InputError
from cinetrack.pipeline.model import Model
from cinetrack.pipeline.track_case import track_whole
from cinetrack.runs.jobs import OnFrame, OtherModelError
from cinetrack.runs.record import RECORD_NAME, Seconds, read_record, write_record
from cinetrack.sequence.grand_challenge import (
    OUTPUT_FILE,
    LoadedCase,
    is_input_folder,
    read_input_folder,
    write_output,
)
from cinetrack.sequence.trackrad_dataset import find_cases


@dataclass(frozen=True)
class PendingCase:
    """A case that can be read when its turn comes.

    Attributes:
        dataset: the folder that it was found in, for the record.
    """

    case_id: str
    read: Callable[[], LoadedCase]
    dataset: Path | None = None


def pending_cases(source: Path) -> list[PendingCase]:
    """The cases of a dataset folder, of one patient's folder, or the one of a platform input folder.

    Raises:
        InputError: `source` is none of these.
    """
    if is_input_folder(source):
        return [PendingCase(source.absolute().name, lambda: read_input_folder(source), source)]
    return [PendingCase(case.case_id, case.read_case, source) for case in find_cases(source)]


@dataclass(frozen=True)
class PredictionJob:
    """Track a case into `folder`: its masks, and last its record.

    Attributes:
        bundle: name of the model's, for messages.
        fingerprint: of the model.
        loading_s: seconds that loading the model took; part of every case's loading time, as in a container.
    """

    case: PendingCase
    folder: Path
    bundle: str
    fingerprint: str
    loading_s: float = 0.0

    @property
    def name(self) -> str:
        """The case's."""
        return self.case.case_id

    def is_done(self) -> bool:
        """Whether masks and record of this very model are there; a record that cannot be read is none."""
        if not (self.folder / RECORD_NAME).exists():
            return False
        try:
            found = read_record(self.folder).bundle_fingerprint
        except InputError:
            return False
        if found != self.fingerprint:
            raise OtherModelError(
                f"{self.folder / RECORD_NAME}: expected a prediction of the bundle {self.bundle}, "
                "found one of another; choose another output folder or pass --overwrite"
            )
        return (self.folder / OUTPUT_FILE).exists()

    def do(self, model: Model, on_frame: OnFrame) -> None:
        """Read, track, write."""
        began = perf_counter()
        loaded = self.case.read()
        loading_s = perf_counter() - began + self.loading_s
        tracked = track_whole(loaded.case, model.chain, on_frame)
        (self.folder / RECORD_NAME).unlink(missing_ok=True)  # of an earlier run: masks and record must belong together
        began = perf_counter()
        write_output(self.folder, tracked.masks, loaded.geometry)
        seconds = Seconds(loading_s, tracked.stage_seconds, perf_counter() - began)
        write_record(self.folder, self.name, model, tracked, seconds, self.case.dataset)
