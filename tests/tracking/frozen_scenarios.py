"""Masks and logits of the shipped bundles and of the paper's chain on three small cases, as they were recorded.

    python tests/tracking/frozen_scenarios.py     # records them anew, after a change of masks that is meant

`test_frozen_masks.py` compares what the library gives today with what is recorded.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from cinetrack.bundle import open_bundle
from cinetrack.cli.main import main
from cinetrack.phantom.case import draw_case
from cinetrack.phantom.dataset import case_generator
from cinetrack.phantom.draws import PhantomRequest
from cinetrack.pipeline.model import Model, load_model
from cinetrack.pipeline.track_case import track_whole
from cinetrack.sequence import CineSequence, TrackingCase
from cinetrack.tracking import MaskPrompt

RECORDED = Path(__file__).with_name("frozen_masks.npz")
RESOURCES = Path(__file__).resolve().parents[2] / "resources"
SHIPPED = ("default", "registration", "static")
CASES = {"easy": 501, "middle": 502, "hard": 503}  # difficulty -> the phantom's seed
FRAMES = 6
LOGITS_KEPT = np.s_[..., ::6, ::6]


def load(name: str, scratch: Path) -> Model:
    """A shipped bundle, the small SAM2 in whole frames, or the paper's chain: that SAM2, then a small nnU-Net."""
    if name in SHIPPED:
        return load_model(open_bundle(RESOURCES / name), "cpu")
    mini = RESOURCES / "training/sam2-mini"
    if name == "sam2-mini":
        return load_model(open_bundle(mini), "cpu")
    folder = scratch / "paper"
    if not folder.exists():
        refiner = ["--refiner", str(RESOURCES / "training/refiner"), "--folds", "all", "--tile-step-size", "0.5"]
        assert main(["bundle", "create", "--tracker", str(mini), *refiner, "-o", str(folder)]) == 0
    return load_model(open_bundle(folder), "cpu")


def drawn_case(difficulty: str) -> tuple[np.ndarray, np.ndarray]:
    """Frames (T, H, W) and true masks (T, 2, H, W), the target's and another structure's, of a small phantom case."""
    seed = CASES[difficulty]
    request = PhantomRequest(frames=FRAMES, shape=(224, 192), difficulty=difficulty)
    drawn = draw_case(case_generator(seed, 1), request, structures=2)
    return drawn.frames, drawn.masks


def whole_case(model: Model, frames: np.ndarray, masks: np.ndarray) -> dict[str, np.ndarray]:
    """The masks that `cinetrack predict` writes."""
    case = TrackingCase("P", CineSequence(frames, (1.0, 1.0), 4.0, 0.35, "abdomen"), masks[0, 0])
    return {"masks": track_whole(case, model.chain).masks}


def prompted_anew(model: Model, frames: np.ndarray, masks: np.ndarray) -> dict[str, np.ndarray]:
    """Logits of two targets; the first is corrected on frame 2, and a third one starts on frame 3."""
    second = masks[0, 1] if masks.shape[1] > 1 and masks[0, 1].any() else np.roll(masks[0, 0], 15, axis=0)
    third = np.roll(masks[0, 0], (-12, 9), axis=(0, 1))
    session = model.start(frames[0], [MaskPrompt(masks[0, 0]), MaskPrompt(second)])
    logits = [result.logits for result in session.results]
    for t in range(1, FRAMES):
        session.step(frames[t])
        logits += [result.logits for result in session.results]
        if t == 2:
            logits.append(session.correct(MaskPrompt(np.roll(masks[t, 0], 3, axis=1))).logits)
        if t == 3:
            logits.append(session.add_target(MaskPrompt(third)).logits)
    return {"masks": np.stack(logits) > 0, "logits": np.stack(logits)[LOGITS_KEPT].astype(np.float16)}


SCENARIOS = {
    "whole": (whole_case, (*SHIPPED, "sam2-mini", "paper")),
    "prompted": (prompted_anew, (*SHIPPED, "sam2-mini")),
}


def all_runs() -> list[tuple[str, str, str]]:
    """(scenario, bundle, difficulty) of everything that is recorded."""
    return [
        (scenario, bundle, case) for scenario, (_, bundles) in SCENARIOS.items() for bundle in bundles for case in CASES
    ]


def run(scenario: str, model: Model, difficulty: str) -> dict[str, np.ndarray]:
    """What one run gives, by name."""
    return SCENARIOS[scenario][0](model, *drawn_case(difficulty))


def record() -> None:
    """Write `RECORDED`."""
    arrays = {}
    with tempfile.TemporaryDirectory() as scratch:
        for scenario, bundle, case in all_runs():
            for name, array in run(scenario, load(bundle, Path(scratch)), case).items():
                key = f"{scenario}/{bundle}/{case}/{name}"
                arrays[key] = np.packbits(array, axis=None) if array.dtype == bool else array
    np.savez_compressed(RECORDED, **arrays)
    print(f"{RECORDED}: {RECORDED.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    record()
