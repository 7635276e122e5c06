"""Write phantom cases as a TrackRAD2025 dataset; equal seeds give equal bytes, whatever the number of processes."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cinetrack.errors import InputError
from cinetrack.phantom.case import RenderedCase, draw_case
from cinetrack.phantom.draws import PhantomRequest
from cinetrack.sequence import CineSequence
from cinetrack.sequence.atomic_write import write_text_atomically
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
    """Write cases 1 to `count` of a seed below `root`, in order; a case's folder appears when it is complete.

    Raises:
        InputError: `root` is a file, or a case's folder exists already.
    """
    if root.exists() and not root.is_dir():
        raise InputError(f"{root}: expected a folder to write cases to, found a file")
    for number in range(1, count + 1):
        if (folder := root / case_id(seed, number)).exists():
            raise InputError(
                f"{folder}: expected no such case yet, found one; remove it or choose another folder or seed"
            )
    write = partial(_write_one, root, seed, request, labelled)
    if workers == 1:
        yield from map(write, range(1, count + 1))
        return
    # "spawn": forking a process that has loaded OpenCV or torch may inherit locked threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, count), context, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        yield from pool.map(write, range(1, count + 1))


def case_description(case: RenderedCase, seed: int, number: int) -> dict[str, Any]:
    """What phantom.json holds: the parameters, and per frame the target's known displacement and whether it shows."""
    return {
        "format": FORMAT_VERSION,
        "seed": seed,
        "case": number,
        "spacing_mm": SPACING_MM,
        **dataclasses.asdict(case.parameters),
        "displacement_mm": [[round(float(v) * SPACING_MM, 3) for v in step] for step in case.displacement_px],
        "target_visible": [bool(mask.any()) for mask in case.masks[:, 0]],
    }


def _write_one(root: Path, seed: int, request: PhantomRequest, labelled: bool, number: int) -> WrittenCase:
    case = draw_case(case_generator(seed, number), request)
    parameters = case.parameters
    sequence = CineSequence(
        case.frames, (SPACING_MM, SPACING_MM), parameters.frame_rate_hz, parameters.field_strength_t, parameters.region
    )
    name = case_id(seed, number)
    root.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=root, prefix=f".{name}."))
    try:
        folder = write_case(unfinished, name, sequence, case.masks[:, 0] if labelled else None)
        description = json.dumps(case_description(case, seed, number), indent=1)
        write_text_atomically(folder / PARAMETERS_FILE, description + "\n")
        folder.rename(root / name)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return WrittenCase(root / name, parameters.target.kind, parameters.difficulty, parameters.frames)
