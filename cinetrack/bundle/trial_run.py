"""Run everything that a bundle holds once, on a few small frames: what passes can track a case.

Loading alone does not show what nnU-Net looks up frame by frame, nor whether weights and settings give numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from cinetrack.bundle.loading import load_chain
from cinetrack.bundle.manifest import MANIFEST_NAME, Bundle
from cinetrack.errors import BundleError
from cinetrack.refinement.settings import NnunetSettings
from cinetrack.sequence import CineSequence, TrackingCase

# Smaller than any region, and so one tile of an nnU-Net, whatever its patch; not square, with unequal spacing.
FRAMES, ROWS, COLUMNS = 2, 72, 80
SPACING_MM = (1.5, 1.0)


def try_bundle(bundle: Bundle) -> None:
    """Track a made-up target through a bundle's method, on the CPU.

    Raises:
        BundleError: something in it cannot be loaded, raises, or gives numbers that are none; names the file at fault.
    """
    case, method = trial_case(), bundle.method
    for stage in method.stages:  # by itself first: with a tracker that loses the target it would not be asked
        if isinstance(stage, NnunetSettings):
            with _blaming(bundle.folder / stage.folder / "plans.json"):
                _try_nnunet(bundle.folder, stage, case)
    # What fails from here on is the tracker's, or the manifest's that put the stages together.
    with _blaming(bundle.folder / (MANIFEST_NAME if method.sam2 is None else method.sam2.config)):
        session = load_chain(method, bundle.folder).start(case.sequence.frames[0], case.first_mask, SPACING_MM)
        for frame in case.sequence.frames[1:]:
            session.step(frame)


def trial_case() -> TrackingCase:
    """A textured disc that moves over tissue by a pixel a frame."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    tissue = 300 + 80 * np.sin(rows / 6) + 60 * np.cos((columns + rows / 3) / 5)
    masks = np.stack([np.hypot(rows - 34 - t, columns - 38) < 10 for t in range(FRAMES)])
    frames = tissue + 400 * masks + rng.normal(0, 10, masks.shape)
    sequence = CineSequence(frames.astype(np.uint16), SPACING_MM, 4.0, 0.35, "abdomen")
    return TrackingCase("trial", sequence, masks[0])


def _try_nnunet(folder: Path, settings: NnunetSettings, case: TrackingCase) -> None:
    """Redraw a frame's mask; a patch that would take gigabytes is refused before it is tried."""
    import torch

    from cinetrack.refinement.network import build_network
    from cinetrack.refinement.plan_checks import check_layer_sizes

    refiner = settings.load_refiner(folder, "cpu")
    model, channels, plans_path = refiner.model, 2 * refiner.window, folder / settings.folder / "plans.json"
    with torch.device("meta"):
        network = build_network(model.configuration, channels, model.labels.num_segmentation_heads, plans_path)
    rows, columns = model.configuration.patch_size
    check_layer_sizes(plans_path, network.eval(), channels, (rows, columns))
    frames = case.sequence.frames
    refiner.start(frames[0], case.first_mask, case.sequence.spacing_mm).step(frames[1], case.first_mask)


@contextmanager
def _blaming(path: Path) -> Iterator[None]:
    """Say which file is at fault where running a part of the bundle fails."""
    try:
        yield
    except BundleError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        reason = f"{type(error).__name__}: {text[:200]}".removesuffix(": ")
        raise BundleError(f"{path}: expected settings that can be run, found ones that fail ({reason})") from None
