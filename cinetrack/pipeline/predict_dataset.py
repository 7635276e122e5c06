"""Track the cases of a dataset: resumable, and one bad case does not stop the rest."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from cinetrack.errors import InputError
from cinetrack.pipeline.model import Model
from cinetrack.pipeline.prediction_record import RECORD_NAME, Seconds, is_done, write_record
from cinetrack.pipeline.track_case import track_whole
from cinetrack.sequence.grand_challenge import LoadedCase, is_input_folder, read_input_folder, write_output
from cinetrack.sequence.trackrad_dataset import find_cases

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PendingCase:
    """A case that can be read when its turn comes."""

    case_id: str
    read: Callable[[], LoadedCase]


@dataclass(frozen=True)
class Failure:
    """A case that could not be tracked, and why. `is_input`: the case is at fault, not we."""

    case_id: str
    reason: str
    is_input: bool


def pending_cases(source: Path) -> list[PendingCase]:
    """The cases of a dataset folder, of one patient's folder, or the one of a platform input folder.

    Raises:
        InputError: `source` is none of these.
    """
    if is_input_folder(source):
        return [PendingCase(source.absolute().name, lambda: read_input_folder(source))]
    return [PendingCase(case.case_id, case.read_case) for case in find_cases(source)]


def predict_case(
    case: PendingCase,
    output: Path,
    model: Model,
    model_loading_s: float,
    on_frame: Callable[[int, int], None] = lambda done, total: None,
    overwrite: bool = False,
) -> Failure | None:
    """Track a case and write its masks and its record to `output/<case_id>/`, unless that is done already.

    Args:
        model_loading_s: seconds that loading the model took; part of every case's loading time, as in a container.
        on_frame: told the frames done and the frames in total.
    Returns:
        Why the case could not be tracked; None where all is well.
    """
    folder = output / case.case_id
    try:
        if overwrite or not is_done(folder, model):
            _track_and_write(case, folder, model, model_loading_s, on_frame)
    except InputError as error:
        return Failure(case.case_id, str(error), is_input=True)
    except Exception as error:
        logger.exception("%s: failed", case.case_id)
        return Failure(case.case_id, f"{type(error).__name__}: {error}", is_input=False)
    return None


def _track_and_write(
    case: PendingCase, folder: Path, model: Model, model_loading_s: float, on_frame: Callable[[int, int], None]
) -> None:
    began = perf_counter()
    loaded = case.read()
    loading_s = perf_counter() - began + model_loading_s
    tracked = track_whole(loaded.case, model.tracker, model.refiner, on_frame)
    (folder / RECORD_NAME).unlink(missing_ok=True)  # of an earlier run: masks and record must belong together
    began = perf_counter()
    write_output(folder, tracked.masks, loaded.geometry)
    seconds = Seconds(loading_s, tracked.tracking_s, tracked.refining_s, perf_counter() - began)
    write_record(folder, case.case_id, model, tracked, seconds)
