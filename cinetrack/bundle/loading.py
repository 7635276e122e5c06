"""Turn a bundle's settings into a tracker and a refiner on a device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cinetrack.bundle.manifest import MANIFEST_NAME, Bundle, open_bundle
from cinetrack.bundle.refiner_spec import RefinerSpec
from cinetrack.bundle.tracker_spec import RegistrationSpec, Sam2Spec, StaticSpec
from cinetrack.errors import BundleError, InputError
from cinetrack.tracking.motion_compensation import MotionCompensatedTracker, MotionCompensation
from cinetrack.tracking.protocol import Tracker
from cinetrack.tracking.region import RegionTracker

if TYPE_CHECKING:
    import torch

    from cinetrack.refinement.refiner import Refiner


def load_tracker(bundle: Path | str | Bundle, device: str = "cpu") -> Tracker:
    """Load the tracker of a model bundle.

    Args:
        bundle: the bundle's folder, or an opened one.
        device: "cpu", "cuda", "cuda:1" or "auto" (a GPU where there is one).
    Raises:
        BundleError: the bundle is incomplete, altered or not understood.
        InputError: no such device here.
    """
    opened = bundle if isinstance(bundle, Bundle) else open_bundle(Path(bundle))
    spec = opened.tracker
    # Each kind's imports stay with it: registration needs no torch, and torch takes seconds to import.
    match spec:
        case StaticSpec():
            from cinetrack.tracking.static import StaticTracker

            return StaticTracker()
        case RegistrationSpec():
            from cinetrack.tracking.registration import RegistrationTracker

            return RegistrationTracker(spec.settings)
        case Sam2Spec():
            from cinetrack.tracking.device import choose_device, native_precision
            from cinetrack.tracking.sam2.tracker import Sam2Tracker

            chosen = choose_device(device)
            sam2 = Sam2Tracker.load(
                spec.config, opened.folder / spec.checkpoint, opened.folder, chosen, native_precision(chosen)
            )
            return shown(sam2, spec.region_px, spec.motion_compensation)


def shown(tracker: Tracker, region_px: int | None, compensation: MotionCompensation | None) -> Tracker:
    """`tracker` with the frames shown to it as a `Sam2Spec` says."""
    if region_px is not None:
        tracker = RegionTracker(tracker, region_px)
    if compensation is not None:
        tracker = MotionCompensatedTracker(tracker, compensation)
    return tracker


def load_stages(bundle: Bundle, device: str = "cpu") -> tuple[Tracker, Refiner | None]:
    """Load a model bundle for use: its tracker, and the refiner that follows it.

    A refiner that works within motion compensation is part of the tracker that is returned.

    Raises:
        BundleError, InputError: as `load_tracker`.
    """
    tracker, refiner, spec = load_tracker(bundle, device), load_refiner(bundle, device), bundle.refiner
    if refiner is None or spec.region_px is None:
        return tracker, refiner
    from cinetrack.refinement.refined_tracker import refined_in_place

    try:
        refined = refined_in_place(tracker, refiner, spec.region_px, spec.outline_weight, spec.tracker_weight)
    except InputError as error:
        raise BundleError(f"{bundle.folder / MANIFEST_NAME}: refiner.region_px: {error}") from None
    return refined, None


def load_refiner(bundle: Bundle, device: str = "cpu") -> Refiner | None:
    """Load the refiner of a model bundle; None where it has none. Raises as `load_tracker`."""
    spec = bundle.refiner
    if spec is None:
        return None
    from cinetrack.tracking.device import choose_device, native_precision

    chosen = choose_device(device)
    return refiner_as_set(bundle.folder / spec.folder, spec, chosen, native_precision(chosen))


def refiner_as_set(folder: Path, spec: RefinerSpec, device: torch.device, dtype: torch.dtype) -> Refiner:
    """The nnU-Net trained-model folder `folder`, run as `spec` sets it. Raises BundleError where it cannot be."""
    from cinetrack.refinement.refiner import Refiner

    return Refiner.load(
        folder,
        folds=spec.folds,
        checkpoint=spec.checkpoint,
        window=spec.window,
        tile_step_size=spec.tile_step_size,
        mirroring=spec.mirroring,
        reach_px=spec.reach_px,
        confidence=spec.confidence,
        device=device,
        dtype=dtype,
    )
