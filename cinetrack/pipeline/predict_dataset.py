"""Track many cases: resumable, spread over processes, one bad case not stopping the rest."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TypeVar

from cinetrack.errors import InputError
from cinetrack.pipeline.model import Model
from cinetrack.pipeline.prediction_record import RECORD_NAME, Seconds, is_done, write_record
from cinetrack.pipeline.track_case import TrackedCase, track
from cinetrack.sequence.grand_challenge import LoadedCase, is_input_folder, read_input_folder, write_output
from cinetrack.sequence.trackrad_dataset import find_cases

logger = logging.getLogger(__name__)

Case = TypeVar("Case")


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
        return [PendingCase(source.resolve().name, lambda: read_input_folder(source))]
    return [PendingCase(case.case_id, case.read_case) for case in find_cases(source)]


def shard(cases: list[Case]) -> list[Case]:
    """This process's share of the cases: every WORLD_SIZE-th from RANK on, as torchrun and srun number them.

    Raises:
        InputError: RANK or WORLD_SIZE is not a number, or out of range.
    """
    names = ("RANK", "WORLD_SIZE") if "WORLD_SIZE" in os.environ else ("SLURM_PROCID", "SLURM_NTASKS")
    try:
        rank, size = int(os.environ.get(names[0], 0)), int(os.environ.get(names[1], 1))
    except ValueError:
        raise InputError(f"environment: expected numbers in {names[0]} and {names[1]}, found other text") from None
    if not 0 <= rank < size:
        raise InputError(f"environment: expected 0 <= {names[0]} < {names[1]}, found {rank} and {size}")
    return cases[rank::size]


def predict_cases(
    cases: Iterable[PendingCase],
    output: Path,
    model: Model,
    model_loading_s: float,
    on_frame: Callable[[str, int, int], None] = lambda case_id, done, total: None,
    overwrite: bool = False,
) -> list[Failure]:
    """Track each case and write its masks and its record to `output/<case_id>/`; finished cases are passed over.

    Args:
        model_loading_s: seconds that loading the model took; part of every case's loading time, as in a container.
        on_frame: told the case, the frames done and the frames in total.
    Returns:
        The cases that could not be tracked.
    """
    failures = []
    for case in cases:
        folder = output / case.case_id
        try:
            if not overwrite and is_done(folder, model):
                logger.info("%s: done before", case.case_id)
                continue
            _predict_case(case, folder, model, model_loading_s, on_frame)
        except InputError as error:
            failures.append(Failure(case.case_id, str(error), is_input=True))
        except Exception as error:
            logger.exception("%s: failed", case.case_id)
            failures.append(Failure(case.case_id, f"{type(error).__name__}: {error}", is_input=False))
    return failures


def _predict_case(
    case: PendingCase, folder: Path, model: Model, model_loading_s: float, on_frame: Callable[[str, int, int], None]
) -> None:
    began = perf_counter()
    loaded = case.read()
    loading_s = perf_counter() - began + model_loading_s
    tracked = TrackedCase.empty(loaded.case.sequence.frames.shape)
    for index, frame in enumerate(track(loaded.case, model.tracker, model.refiner)):
        tracked.add(frame)
        on_frame(case.case_id, index + 1, len(tracked.masks))
    (folder / RECORD_NAME).unlink(missing_ok=True)  # of an earlier run: masks and record must belong together
    began = perf_counter()
    write_output(folder, tracked.masks, loaded.geometry)
    seconds = Seconds(loading_s, tracked.tracking_s, tracked.refining_s, perf_counter() - began)
    write_record(folder, case.case_id, model, tracked, seconds)
