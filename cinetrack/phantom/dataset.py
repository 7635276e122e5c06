"""Write phantom cases as a TrackRAD2025 dataset; equal seeds give equal bytes, whatever the number of processes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cinetrack.errors import InputError
from cinetrack.phantom.case import RenderedCase, draw_case
from cinetrack.phantom.draws import PhantomRequest
from cinetrack.runs.outputs import check_output_folder
from cinetrack.runs.processes import process_pool
from cinetrack.sequence import CineSequence
from cinetrack.sequence.atomic_write import write_text_atomically
from cinetrack.sequence.drafts import draft_folder, remove_dead_drafts
from cinetrack.sequence.json_files import read_json
from cinetrack.sequence.trackrad_dataset import write_case

PARAMETERS_FILE = "phantom.json"
FORMAT_VERSION = 1
SPACING_MM = 1.0


@dataclass(frozen=True)
class WrittenCase:
    """Where a case lies and what is said about it in a line."""

    folder: Path
    target: str
    difficulty: str
    frames: int


def case_id(seed: int, number: int) -> str:
    """Name of the `number`th case (from 1) of a seed."""
    return f"P{seed}_{number:04d}"


def case_generator(seed: int, number: int) -> np.random.Generator:
    """The random stream of the `number`th case (from 1) of a seed; cases do not share one."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number - 1,)))


def write_phantom_cases(
    root: Path, seed: int, count: int, request: PhantomRequest, labelled: bool = True, workers: int = 1
) -> Iterator[WrittenCase]:
    """Cases 1 to `count` of a seed below `root`, in order: those that are not there yet are written.

    A case's folder appears when it is complete, so that a run that was stopped goes on where it was.

    Raises:
        InputError: `root` cannot be written to, or has a case of this seed that was not made with these settings.
    """
    check_output_folder(root)
    numbers = range(1, count + 1)
    written = {number: _written_before(root, seed, request, labelled, number) for number in numbers}
    missing = [number for number in numbers if written[number] is None]
    write = partial(_write_one, root, seed, request, labelled)
    with ExitStack() as stack:
        if workers == 1 or not missing:
            made: Iterator[WrittenCase] = map(write, missing)
        else:
            pool = stack.enter_context(process_pool(min(workers, len(missing)), cv2.setNumThreads, (1,)))
            made = pool.map(write, missing)
        for number in numbers:
            yield written[number] or next(made)


def case_description(
    case: RenderedCase, seed: int, number: int, request: PhantomRequest, labelled: bool
) -> dict[str, Any]:
    """What phantom.json holds: what was asked for and what was drawn, and per frame the target's known displacement
    and whether it shows."""
    return {
        "format": FORMAT_VERSION,
        "seed": seed,
        "case": number,
        "asked_for": asked_for(request, labelled),
        "spacing_mm": SPACING_MM,
        **dataclasses.asdict(case.parameters),
        "displacement_mm": [[round(float(v) * SPACING_MM, 3) for v in step] for step in case.displacement_px],
        "target_visible": [bool(mask.any()) for mask in case.masks[:, 0]],
    }


def asked_for(request: PhantomRequest, labelled: bool) -> dict[str, Any]:
    """All that decides a case beside seed and number, of values that json knows."""
    values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(request)))
    return {**values, "labelled": labelled}


def _written_before(root: Path, seed: int, request: PhantomRequest, labelled: bool, number: int) -> WrittenCase | None:
    folder = root / case_id(seed, number)
    if not folder.exists():
        return None
    remove_dead_drafts(folder)  # of a run that was killed just after it
    path = folder / PARAMETERS_FILE
    found = read_json(path) if path.exists() else None
    wanted = {"format": FORMAT_VERSION, "seed": seed, "case": number, "asked_for": asked_for(request, labelled)}
    if not isinstance(found, dict) or any(found.get(key) != value for key, value in wanted.items()):
        raise InputError(
            f"{folder}: expected no such case yet, or one that was made with the same settings, found one of others; "
            "remove it or choose another folder or seed"
        )
    return WrittenCase(folder, found["target"]["kind"], found["difficulty"], found["frames"])


def _write_one(root: Path, seed: int, request: PhantomRequest, labelled: bool, number: int) -> WrittenCase:
    case = draw_case(case_generator(seed, number), request)
    parameters = case.parameters
    sequence = CineSequence(
        case.frames, (SPACING_MM, SPACING_MM), parameters.frame_rate_hz, parameters.field_strength_t, parameters.region
    )
    name = case_id(seed, number)
    with draft_folder(root / name) as unfinished:
        folder = write_case(unfinished, name, sequence, case.masks[:, 0] if labelled else None)
        description = json.dumps(case_description(case, seed, number, request, labelled), indent=1)
        write_text_atomically(folder / PARAMETERS_FILE, description + "\n")
        folder.rename(root / name)
    return WrittenCase(root / name, parameters.target.kind, parameters.difficulty, parameters.frames)
