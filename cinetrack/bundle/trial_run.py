"""Run everything that a bundle holds once, on a few small frames: what passes can track a case.

Loading alone does not show what nnU-Net looks up frame by frame, nor whether weights and settings give numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cinetrack.bundle.loading import load_refiner, load_stages, load_tracker
from cinetrack.bundle.manifest import MANIFEST_NAME, Bundle
from cinetrack.bundle.tracker_spec import Sam2Spec
from cinetrack.errors import BundleError
from cinetrack.sequence import CineSequence, TrackingCase

if TYPE_CHECKING:
    from cinetrack.refinement.refiner import Refiner

# Smaller than any region, and so one tile of a refiner, whatever its patch; not square, with unequal spacing.
FRAMES, ROWS, COLUMNS = 2, 72, 80
SPACING_MM = (1.5, 1.0)


def try_bundle(bundle: Bundle) -> None:
    """Track a made-up target through a bundle's tracker and refiner, on the CPU.

    Raises:
        BundleError: something in it cannot be loaded, raises, or gives numbers that are none; names the file at fault.
    """
    from cinetrack.pipeline.track_case import track  # which needs scipy; the loading of bundles does not

    case = trial_case()
    try:
        _try_refiner(bundle, case)
        for _ in track(case, *load_stages(bundle)):
            pass
    except BundleError:
        raise
    except Exception as error:
        path, reason = _at_fault(bundle, case, error)
        raise BundleError(f"{path}: expected settings that can be run, found ones that fail ({reason})") from None


def trial_case() -> TrackingCase:
    """A textured disc that moves over tissue by a pixel a frame."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    tissue = 300 + 80 * np.sin(rows / 6) + 60 * np.cos((columns + rows / 3) / 5)
    masks = np.stack([np.hypot(rows - 34 - t, columns - 38) < 10 for t in range(FRAMES)])
    frames = tissue + 400 * masks + rng.normal(0, 10, masks.shape)
    sequence = CineSequence(frames.astype(np.uint16), SPACING_MM, 4.0, 0.35, "abdomen")
    return TrackingCase("trial", sequence, masks[0])


def _try_refiner(bundle: Bundle, case: TrackingCase) -> None:
    """The refiner by itself: with a tracker that loses the target it would not be asked."""
    refiner, spec = load_refiner(bundle), bundle.refiner
    if refiner is None or spec is None:
        return
    _check_layer_sizes(refiner, bundle.folder / spec.folder / "plans.json")
    frames = case.sequence.frames
    refining = refiner.start(frames[0], case.first_mask, case.sequence.spacing_mm, spec.region_px is not None)
    refining.step(frames[1], case.first_mask)


def _check_layer_sizes(refiner: Refiner, plans_path: Path) -> None:
    """Refuse a patch that would take gigabytes, before it is tried."""
    import torch

    from cinetrack.refinement.network import build_network
    from cinetrack.refinement.plan_checks import check_layer_sizes

    model, channels = refiner.model, 2 * refiner.window
    with torch.device("meta"):
        network = build_network(model.configuration, channels, model.labels.num_segmentation_heads, plans_path)
    rows, columns = model.configuration.patch_size
    check_layer_sizes(plans_path, network.eval(), channels, (rows, columns))


def _at_fault(bundle: Bundle, case: TrackingCase, error: Exception) -> tuple[Path, str]:
    """The file whose part fails by itself, else the manifest that put the parts together; and why."""
    frames, tracker = case.sequence.frames, bundle.tracker
    if bundle.refiner is not None:
        try:
            _try_refiner(bundle, case)
        except Exception as own:
            return bundle.folder / bundle.refiner.folder / "plans.json", _described(own)
    try:
        load_tracker(bundle).start(frames[0], case.first_mask).step(frames[1])
    except Exception as own:
        name = tracker.config if isinstance(tracker, Sam2Spec) else MANIFEST_NAME
        return bundle.folder / name, _described(own)
    return bundle.folder / MANIFEST_NAME, _described(error)


def _described(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}".removesuffix(": ")
