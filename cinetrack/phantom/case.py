"""One phantom case: parameters -> a still scene, its motion, its scanner -> frames, exact masks, known path."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cinetrack.phantom.acquisition import SEGMENTS, Scanner, Spoiling, draw_scanner, pulse_sequence
from cinetrack.phantom.anatomy import Anatomy, Structure
from cinetrack.phantom.body import TARGETS, build_body
from cinetrack.phantom.breathing import BreathingCurve
from cinetrack.phantom.domain_randomisation import HOST, random_anatomy
from cinetrack.phantom.draws import PhantomRequest, draw_parameters
from cinetrack.phantom.motion import LARGEST_DIAPHRAGM_MM, Motion, scaled_to_peak
from cinetrack.phantom.movers import draw_motion
from cinetrack.phantom.parameters import CaseParameters
from cinetrack.phantom.rendering import Deformation, Moment, Scene
from cinetrack.phantom.targets import LESION, Lesion, View, organ_in_view, place_lesion, place_look_alikes
from cinetrack.phantom.tissue import tissue_signals

MARGIN_PX = 56  # canvas around the field of view, from which motion brings tissue in
STILL_PX = 0.6  # motion during a frame below which one moment stands for all of it
FEWEST_FIRST_PX = 25
LEAST_VISIBLE_SHARE = 0.7
ATTEMPTS = 40


@dataclass(frozen=True, eq=False)
class PreparedCase:
    """All that is drawn before the first frame. Structure 0 of the scene is the target."""

    parameters: CaseParameters
    scene: Scene
    motion: Motion
    breathing: BreathingCurve
    scanner: Scanner
    through_plane_mm: np.ndarray  # (T,)
    start_s: float = 0.0  # of the first frame; planes that are imaged in turns begin one after the other

    def frame_times_s(self) -> np.ndarray:
        """Instant that each frame's masks show: the middle of its acquisition, (T,)."""
        share = self.parameters.acquisition.acquisition_share
        return self.start_s + (np.arange(self.parameters.frames) + 0.5 * share) / self.parameters.frame_rate_hz

    def target_path_px(self) -> np.ndarray:
        """Where the target's centre is on each frame, (T, 2) of (row, column) in px of the view, before mirroring."""
        return self.motion.follow(_rest_point(self.scene), self.frame_times_s())


@dataclass(frozen=True, eq=False)
class RenderedCase:
    """A finished case.

    Attributes:
        frames: (T, H, W) uint16.
        masks: (T, K, H, W) bool; structure 0 is the target.
        displacement_px: (T, 2) of (row, column), the target centre's known displacement from frame 0.
    """

    parameters: CaseParameters
    frames: np.ndarray
    masks: np.ndarray
    displacement_px: np.ndarray


def draw_case(rng: np.random.Generator, request: PhantomRequest, structures: int = 1) -> RenderedCase:
    """Draw cases until one shows its target on frame 0 and on most frames.

    Args:
        structures: masks wanted at most; further ones are look-alikes and organs in view.
    """
    for _ in range(ATTEMPTS):
        prepared = prepare_case(rng, draw_parameters(rng, request), structures)
        if prepared is None or prepared.parameters.target.diameter_mm > request.largest_target_mm:
            continue
        rendered = render_case(rng, prepared)
        target = rendered.masks[:, 0].any(axis=(1, 2))
        if rendered.masks[0, 0].sum() >= FEWEST_FIRST_PX and target.mean() >= LEAST_VISIBLE_SHARE:
            return rendered
    raise RuntimeError(f"no case with a visible target in {ATTEMPTS} attempts for {request}")


def prepare_case(rng: np.random.Generator, parameters: CaseParameters, structures: int = 1) -> PreparedCase | None:
    """Draw the scene, its motion and its scanner; None where no target finds room in it."""
    shape = (parameters.height_px, parameters.width_px)
    canvas_shape = (shape[0] + 2 * MARGIN_PX, shape[1] + 2 * MARGIN_PX)
    view = View(MARGIN_PX, MARGIN_PX, shape)
    if parameters.plane == "random":
        anatomy = random_anatomy(rng, canvas_shape, view)
    else:
        signals = tissue_signals(parameters.field_strength_t, pulse_sequence(parameters.acquisition))
        anatomy = build_body(rng, canvas_shape, view, parameters.region, parameters.plane, signals)
    placed = _place_target(rng, anatomy, view, parameters)
    if placed is None:
        return None
    target, lesions = placed
    others = _other_structures(rng, anatomy, view, target, lesions, structures - 1)
    scene = Scene(anatomy, view, tuple(lesions), (target, *others), _draw_deformation(rng, target, parameters))
    diameter = 2 * np.sqrt(target.shape.area_px / np.pi)
    if not 8 <= diameter <= 90:
        return None
    drawn = replace(parameters.target, kind=target.name, diameter_mm=float(diameter))
    if lesions:
        drawn = replace(drawn, contrast=lesions[-1].contrast, look_alikes=len(lesions) - 1)
    else:  # an organ is part of the anatomy: it is not placed, drawn or cut as a ball
        drawn = replace(drawn, contrast=0.0, look_alikes=0, through_plane_mm=0.0, hidden_s=0.0, cut_by_border=False)
    parameters = replace(parameters, target=drawn)

    duration = parameters.frames / parameters.frame_rate_hz
    motion, breathing = draw_motion(rng, parameters.motion, anatomy.motion, shape, duration)
    scanner = draw_scanner(rng, parameters.acquisition, parameters.field_strength_t, shape)
    prepared = PreparedCase(parameters, scene, motion, breathing, scanner, np.zeros(parameters.frames))
    times = prepared.frame_times_s()
    scaled = scaled_to_peak(
        motion, _rest_point(scene), times, parameters.motion.peak_displacement_mm, LARGEST_DIAPHRAGM_MM
    )
    through_plane = _through_plane(rng, parameters, breathing, times)
    return replace(prepared, motion=scaled, through_plane_mm=through_plane)


def render_case(rng: np.random.Generator, case: PreparedCase) -> RenderedCase:
    """Render all frames and masks of a case."""
    parameters = case.parameters
    count, acquisition = parameters.frames, parameters.acquisition
    times = case.frame_times_s()
    thirds = (np.arange(SEGMENTS) - 1) / SEGMENTS * acquisition.acquisition_share / parameters.frame_rate_hz
    gains = _gains(rng, parameters)
    spoilings = _spoilings(rng, parameters)
    frames = np.empty((count, parameters.height_px, parameters.width_px), dtype=np.uint16)
    masks = np.empty((count, len(case.scene.structures), *frames.shape[1:]), dtype=bool)
    middle = SEGMENTS // 2
    for t in range(count):
        instants = times[t] + thirds
        layers = (case.motion.grids(instants, layer) for layer in ("viscera", "wall"))
        distance = float(case.through_plane_mm[t])
        moments = [
            Moment(viscera, wall, distance, float(strength))
            for viscera, wall, strength in zip(*layers, case.breathing(instants), strict=True)
        ]
        masks[t] = case.scene.masks(moments[middle])
        moving = np.abs(moments[-1].viscera_grid - moments[0].viscera_grid).max() > STILL_PX
        images = [case.scene.image(moment) for moment in (moments if moving else [moments[middle]])]
        image = case.scanner.frame(images, t / count, gains[t], spoilings[t], rng)
        frames[t] = np.clip(image * np.float32(acquisition.peak_intensity), 0, 65535)
    path = case.target_path_px()
    displacement = path - path[0]
    if parameters.mirrored:
        frames, masks = frames[..., ::-1], masks[..., ::-1]
        displacement = displacement * np.array([1, -1], dtype=displacement.dtype)
    return RenderedCase(parameters, np.ascontiguousarray(frames), np.ascontiguousarray(masks), displacement)


def _place_target(
    rng: np.random.Generator, anatomy: Anatomy, view: View, parameters: CaseParameters
) -> tuple[Structure, list[Lesion]] | None:
    """The target and the lesions of the scene, the target last so that nothing hides it."""
    if parameters.plane == "random":
        weights = {HOST + LESION: 3.0} | {organ.name: 1.0 for organ in anatomy.organs}
    else:
        weights = TARGETS[parameters.region, parameters.plane]
    names = list(weights)
    chances = np.array([weights[name] for name in names])
    for name in rng.choice(names, size=len(names), replace=False, p=chances / chances.sum()):
        if name.endswith(LESION):
            host = name.removesuffix(LESION)
            lesion = place_lesion(rng, anatomy, host, view, parameters.target)
            if lesion is not None:
                return lesion.structure, [*place_look_alikes(rng, anatomy, host, lesion, parameters.target), lesion]
        elif (organ := organ_in_view(anatomy, str(name), view)) is not None:
            return organ, []
    return None


def _other_structures(
    rng: np.random.Generator, anatomy: Anatomy, view: View, target: Structure, lesions: list[Lesion], wanted: int
) -> list[Structure]:
    others = [lesion.structure for lesion in lesions if lesion.structure is not target]
    organs = (organ_in_view(anatomy, organ.name, view) for organ in anatomy.organs if organ.name != target.name)
    others += [organ for organ in organs if organ is not None]
    return [others[i] for i in rng.permutation(len(others))[: max(wanted, 0)]]


def _draw_deformation(rng: np.random.Generator, target: Structure, parameters: CaseParameters) -> Deformation | None:
    if parameters.motion.target_deformation == 0:
        return None
    stretch, shear = rng.normal(0, 1, 2)
    swell = 0.3 * rng.normal()
    size = parameters.motion.target_deformation / max(np.hypot(stretch, shear), 1.0)
    matrix = ((size * (stretch + swell), size * shear), (size * shear, size * (swell - stretch)))
    return Deformation(target.shape.centroid(), 1.3 * float(np.sqrt(target.shape.area_px / np.pi)) + 4, matrix)


def _through_plane(
    rng: np.random.Generator, parameters: CaseParameters, breathing: BreathingCurve, times: np.ndarray
) -> np.ndarray:
    """Distance of the slice from the target's middle on each frame, mm; 0 on the first."""
    distance = parameters.target.through_plane_mm * (breathing(times) - breathing(times[:1]))
    # Breathing alone leaves a rim of the target in the slice; hiding it is what `hidden_s` is for.
    limit = 0.8 * parameters.target.diameter_mm / 2
    distance = np.clip(distance, -limit, limit)
    if parameters.target.hidden_s:
        start = rng.uniform(0.15, 0.85) * times[-1]
        shape = np.clip(1.6 - np.abs(times - start) / (0.5 * parameters.target.hidden_s), 0, 1)
        distance = distance * (1 - shape) + shape * 0.6 * parameters.target.diameter_mm
        distance[0] = 0.0
    return distance


def _gains(rng: np.random.Generator, parameters: CaseParameters) -> np.ndarray:
    """Brightness of each frame: drift, flicker, and the approach to the steady state on the first few."""
    acquisition, t = parameters.acquisition, np.arange(parameters.frames)
    start = rng.uniform(0, 0.25) * np.exp(-t / 1.2) * (rng.random() < 0.3)
    return 1 + acquisition.intensity_drift * t / parameters.frames + rng.normal(0, acquisition.flicker, t.size) + start


def _spoilings(rng: np.random.Generator, parameters: CaseParameters) -> list[Spoiling]:
    """Short runs of spoilt frames, never the first frame."""
    spoilings = [Spoiling()] * parameters.frames
    left = round(parameters.acquisition.degraded_share * parameters.frames)
    while left > 0 and parameters.frames > 1:
        run = min(left, int(rng.integers(1, 6)))
        start = int(rng.integers(1, parameters.frames))
        for t in range(start, min(start + run, parameters.frames)):
            spoilings[t] = Spoiling(float(rng.uniform(1.5, 4)), float(rng.uniform(0, 0.35)), float(rng.uniform(0, 0.4)))
        left -= run
    return spoilings


def _rest_point(scene: Scene) -> tuple[float, float]:
    row, column = scene.structures[0].shape.centroid()
    return row - scene.view.row, column - scene.view.column
