"""The settings of an nnU-Net trained-model folder in a bundle, whichever stage runs it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from cinetrack.errors import InputError
from cinetrack.settings import Settings, setting

if TYPE_CHECKING:
    from cinetrack.refinement.refiner import Refiner  # imports torch and nnU-Net

# In dataset.json, which follows a model everywhere: the side of the surroundings that it was taught on.
REGION_KEY = "cinetrack_region_px"


@dataclass(frozen=True)
class NnunetSettings(Settings):
    """Which trained model, and how it is run. The defaults are the paper's."""

    folder: str = setting("refiner", help="nnU-Net trained-model folder in the bundle")
    folds: tuple[int | str, ...] = setting((0,), help='folds whose predictions are averaged: numbers, or "all"')
    checkpoint: str = setting("checkpoint_final.pth", help="file name of the weights in each fold's folder")
    window: int = setting(5, low=1, unit="frames", help="frames that the network sees, the latest included")
    tile_step_size: float = setting(
        0.05,
        above=0,
        high=1,
        unit="patches",
        help="distance of neighbouring tiles as a fraction of the patch; smaller averages more tiles and is slower, "
        "and 0.5 "
        "is nnU-Net's own",
    )
    mirroring: bool = setting(True, help="average over mirrored copies, along the axes that the checkpoint allows")

    def __post_init__(self) -> None:
        super().__post_init__()
        for fold in self.folds:
            if fold != "all" and not isinstance(fold, int):
                raise InputError(f'folds: expected fold numbers or "all", found {fold!r}')

    @property
    def files(self) -> tuple[str, ...]:
        """The files that the model is loaded from, relative to the bundle."""
        names = ["dataset.json", "plans.json", *(f"fold_{fold}/{self.checkpoint}" for fold in self.folds)]
        return tuple(str(PurePosixPath(self.folder) / name) for name in names)

    def load_refiner(self, folder: Path, device: str) -> Refiner:
        """The model of the bundle in `folder`. Raises BundleError where it cannot be run as set."""
        from cinetrack.refinement.refiner import Refiner
        from cinetrack.tracking.device import choose_device, native_precision

        chosen = choose_device(device)
        return Refiner.load(
            folder / self.folder,
            folds=self.folds,
            checkpoint=self.checkpoint,
            window=self.window,
            tile_step_size=self.tile_step_size,
            mirroring=self.mirroring,
            device=chosen,
            dtype=native_precision(chosen),
        )
