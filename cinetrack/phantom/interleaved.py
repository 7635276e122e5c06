"""Cases of two planes imaged in turns: a sagittal and a coronal series of one target, each at half the stream's rate.

The target's head-to-feet motion is the same in both; each plane adds its own second axis, and carries the target
through the other by that much. The planes' anatomies are drawn apart: they agree in the diaphragm's height and the
target's kind and size, not in detail.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cinetrack.errors import InputError
from cinetrack.phantom.acquisition import draw_scanner, pulse_sequence
from cinetrack.phantom.body import LANDMARK_SHARE
from cinetrack.phantom.case import (
    ATTEMPTS,
    FEWEST_FIRST_PX,
    LEAST_VISIBLE_SHARE,
    MARGIN_PX,
    PreparedCase,
    RenderedCase,
    prepare_case,
    render_case,
)
from cinetrack.phantom.coronal import build_coronal
from cinetrack.phantom.dataset import (
    FORMAT_VERSION,
    PARAMETERS_FILE,
    SPACING_MM,
    WrittenCase,
    asked_for,
    case_description,
    case_generator,
    case_id,
)
from cinetrack.phantom.draws import PhantomRequest, draw_parameters
from cinetrack.phantom.motion import Motion, Mover, grid_positions
from cinetrack.phantom.parameters import CaseParameters
from cinetrack.phantom.rendering import Scene
from cinetrack.phantom.targets import LESION, View, place_lesion
from cinetrack.phantom.tissue import tissue_signals
from cinetrack.runs.outputs import check_output_folder
from cinetrack.sequence import CineSequence
from cinetrack.sequence.atomic_write import write_text_atomically
from cinetrack.sequence.drafts import draft_folder
from cinetrack.sequence.json_files import read_json
from cinetrack.sequence.trackrad_dataset import write_case

PLANES = ("sagittal", "coronal")
HOSTS = ("liver", "lung")  # of which both planes have one
ACQUISITION_SHARE = 0.45  # of a plane's interval; the other plane is acquired in the rest
RIGID_MM = 60.0  # so far from the target, head to feet, the coronal viscera move as the target does
LARGEST_SIDE_SHARE = 0.12  # of the head-to-feet motion that goes right to left


@dataclass(frozen=True, eq=False)
class InterleavedCase:
    """The two series of one target.

    Attributes:
        start_s: when each plane's first frame begins.
    """

    series: dict[str, RenderedCase]
    start_s: dict[str, float]


def draw_interleaved(rng: np.random.Generator, request: PhantomRequest) -> InterleavedCase:
    """Draw cases until both planes show the target on their first frame and on most frames.

    Args:
        request: `frames` counts the frames of each plane and `frame_rate_hz` is the stream's, of both planes together.
    Raises:
        InputError: a region without both planes, or a rate of a plane below 1 Hz.
    """
    if request.region == "pelvis" or request.randomised_share:
        raise InputError("interleaved phantom: expected the thorax or the abdomen with its anatomy, found another")
    rate = (request.frame_rate_hz or 8.0) / len(PLANES)
    CaseParameters.check("frame_rate_hz", rate)
    for _ in range(ATTEMPTS):
        region = request.region or str(rng.choice(["thorax", "abdomen"]))
        parameters = draw_parameters(rng, replace(request, region=region, frame_rate_hz=rate))
        acquisition = replace(parameters.acquisition, acquisition_share=ACQUISITION_SHARE)
        # A coronal slice has its own through-plane motion; a target that is hidden is another difficulty.
        target = replace(parameters.target, through_plane_mm=0.0, hidden_s=0.0, cut_by_border=False)
        parameters = replace(parameters, plane="right", mirrored=False, acquisition=acquisition, target=target)
        sagittal = prepare_case(rng, parameters)
        if sagittal is None or sagittal.parameters.target.kind not in [host + LESION for host in HOSTS]:
            continue
        offset = 0.5 / rate
        coronal = _coronal(rng, sagittal, offset)
        if coronal is None:
            continue
        series = {"sagittal": render_case(rng, sagittal), "coronal": render_case(rng, coronal)}
        if all(_shows_its_target(one) for one in series.values()):
            return InterleavedCase(series, {"sagittal": 0.0, "coronal": offset})
    raise RuntimeError(f"no interleaved case with a visible target in {ATTEMPTS} attempts for {request}")


def write_interleaved_cases(
    root: Path, seed: int, count: int, request: PhantomRequest, labelled: bool = True
) -> Iterator[WrittenCase]:
    """Cases 1 to `count` of a seed below `root`, each as `<case>_sagittal` and `<case>_coronal`.

    What is there already is left as it is. Both have `phantom.json`, with the plane, its start and the stream's rate
    beside what other cases have.

    Raises:
        InputError: as `draw_interleaved`; `root` cannot be written to, or has a case made with other settings.
    """
    check_output_folder(root)
    for number in range(1, count + 1):
        asked = {"format": FORMAT_VERSION, "seed": seed, "case": number, "asked_for": asked_for(request, labelled)}
        found = {plane: _written_before(_folder(root, seed, number, plane), plane, asked) for plane in PLANES}
        case = None if all(found.values()) else draw_interleaved(case_generator(seed, number), request)
        for plane, written in found.items():
            if written is None and case is not None:
                written = _write_plane(root, seed, number, request, labelled, case, plane)
            assert written is not None
            yield written


def _folder(root: Path, seed: int, number: int, plane: str) -> Path:
    return root / f"{case_id(seed, number)}_{plane}"


def _written_before(folder: Path, plane: str, asked: dict[str, Any]) -> WrittenCase | None:
    if not folder.exists():
        return None
    path = folder / PARAMETERS_FILE
    found = read_json(path) if path.exists() else None
    if not isinstance(found, dict) or any(found.get(key) != value for key, value in {**asked, "plane": plane}.items()):
        raise InputError(
            f"{folder}: expected no such case yet, or one that was made with the same settings, found one of others; "
            "remove it or choose another folder or seed"
        )
    return WrittenCase(folder, found["target"]["kind"], found["difficulty"], found["frames"])


def _write_plane(
    root: Path, seed: int, number: int, request: PhantomRequest, labelled: bool, case: InterleavedCase, plane: str
) -> WrittenCase:
    rendered, target = case.series[plane], _folder(root, seed, number, plane)
    parameters = rendered.parameters
    sequence = CineSequence(
        rendered.frames,
        (SPACING_MM, SPACING_MM),
        parameters.frame_rate_hz,
        parameters.field_strength_t,
        parameters.region,
    )
    description = case_description(rendered, seed, number, request, labelled) | {
        "plane": plane,
        "start_s": case.start_s[plane],
        "stream_rate_hz": parameters.frame_rate_hz * len(PLANES),
    }
    with draft_folder(target) as unfinished:
        folder = write_case(unfinished, target.name, sequence, rendered.masks[:, 0] if labelled else None)
        write_text_atomically(folder / PARAMETERS_FILE, json.dumps(description, indent=1) + "\n")
        folder.rename(target)
    return WrittenCase(target, parameters.target.kind, parameters.difficulty, parameters.frames)


def _coronal(rng: np.random.Generator, sagittal: PreparedCase, start_s: float) -> PreparedCase | None:
    """The coronal plane of a sagittal case: its target moves head to feet as the other's does."""
    parameters = sagittal.parameters
    shape = (parameters.height_px, parameters.width_px)
    canvas_shape = (shape[0] + 2 * MARGIN_PX, shape[1] + 2 * MARGIN_PX)
    view = View(MARGIN_PX, MARGIN_PX, shape)
    low, high = LANDMARK_SHARE[parameters.region]
    dome_row = view.row + float(np.clip(sagittal.scene.anatomy.motion.diaphragm_row, low * shape[0], high * shape[0]))
    signals = tissue_signals(parameters.field_strength_t, pulse_sequence(parameters.acquisition))
    anatomy = build_coronal(rng, canvas_shape, view, dome_row, signals)
    host = parameters.target.kind.removesuffix(LESION)
    lesion = place_lesion(rng, anatomy, host, view, parameters.target)
    if lesion is None:
        return None
    scene = Scene(anatomy, view, (lesion,), (lesion.structure,), None)
    row, _ = lesion.structure.shape.centroid()
    motion = _coronal_motion(rng, sagittal, row - view.row, shape)
    scanner = draw_scanner(rng, parameters.acquisition, parameters.field_strength_t, shape)
    diameter = float(2 * np.sqrt(lesion.structure.shape.area_px / np.pi))
    drawn = replace(parameters.target, diameter_mm=diameter, contrast=lesion.contrast, look_alikes=0)
    prepared = PreparedCase(
        replace(parameters, plane="coronal", target=drawn),
        scene,
        motion,
        sagittal.breathing,
        scanner,
        np.zeros(parameters.frames),
        start_s,
    )
    # Front-to-back motion carries the target through this plane; breathing alone leaves most of it in the slice.
    path = _path(sagittal, prepared.frame_times_s())
    limit = 0.6 * diameter / 2
    return replace(prepared, through_plane_mm=np.clip(path[:, 1] - path[0, 1], -limit, limit))


def _coronal_motion(
    rng: np.random.Generator, sagittal: PreparedCase, target_row: float, view_shape: tuple[int, int]
) -> Motion:
    rows, columns = grid_positions(view_shape)
    far = np.clip(np.abs(rows - target_row) - RIGID_MM, 0, None)
    share = np.broadcast_to(np.exp(-((far / 110) ** 2)), (rows.size, columns.size))
    none = np.zeros_like(share)
    end = sagittal.breathing.times_s[-1]
    times = np.arange(0.0, end, 0.05)
    path = _path(sagittal, times)
    aside = float(rng.uniform(-1, 1)) * LARGEST_SIDE_SHARE
    return Motion(
        (
            Mover(np.stack([share, none], axis=-1).astype(np.float32), None, lambda t: np.interp(t, times, path[:, 0])),
            Mover(
                np.stack([none, share], axis=-1).astype(np.float32),
                None,
                lambda t: aside * np.interp(t - 0.1, times, path[:, 0]),
            ),
        ),
        view_shape,
    )


def _path(case: PreparedCase, times_s: np.ndarray) -> np.ndarray:
    """Displacement of a case's target from rest, (N, 2) of (row, column), px."""
    row, column = case.scene.structures[0].shape.centroid()
    rest = (row - case.scene.view.row, column - case.scene.view.column)
    return np.asarray(case.motion.follow(rest, times_s) - np.asarray(rest))


def _shows_its_target(case: RenderedCase) -> bool:
    shown = case.masks[:, 0].any(axis=(1, 2))
    return bool(case.masks[0, 0].sum() >= FEWEST_FIRST_PX and shown.mean() >= LEAST_VISIBLE_SHARE)
