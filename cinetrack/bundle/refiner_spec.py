"""The refiner of a `bundle.json`, how it is run, and how it is read and written."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from cinetrack.bundle.manifest_values import expect_keys, inside, is_number
from cinetrack.errors import BundleError, InputError
from cinetrack.tracking.motion_compensation import check_weight
from cinetrack.tracking.region import check_region

DEFAULT_PRESET = "default"
# In dataset.json, which follows a model everywhere: the `region_px` that it was taught on.
REGION_KEY = "cinetrack_region_px"
EVEN = 0.5  # `cinetrack.refinement.confidence`'s, whose package imports torch


@dataclass(frozen=True)
class RefinerPreset:
    """Another pace of the same refiner, chosen by name when it is run; the fields as in `RefinerSpec`."""

    tile_step_size: float
    mirroring: bool

    def __post_init__(self) -> None:
        _check_pace("refiner.presets", self.tile_step_size, self.mirroring)


@dataclass(frozen=True)
class RefinerSpec:
    """An nnU-Net trained-model folder in the bundle, and how to run it.

    Attributes:
        folder: relative to the bundle; holds dataset.json, plans.json and fold_*.
        folds: averaged; numbers, or "all" for the one model trained on everything.
        checkpoint: file name within each fold.
        window: frames that the network sees, the current one included.
        tile_step_size: distance of neighbouring tiles as a fraction of the patch, in (0, 1].
        mirroring: test-time mirroring over the axes that the checkpoint allows.
        reach_px: how far from the tracker's outline the refined mask may differ; None for anywhere, as in the paper.
        confidence: how probable a change of the tracker's mask must be, in [0.5, 1); 0.5, as in the paper, for the
            network's own labels.
        region_px: side of the target's surroundings on motion-compensated frames, where the refiner works before the
            masks are carried back, beside the prompted frame; None, as in the paper, for the latest frames as they are.
        outline_weight: with `region_px`, log-odds that the prompted outline adds, as in `MotionCompensation`.
        tracker_weight: with `region_px`, of the tracker's log-odds beside the refiner's, as in `RefinedTracker`.
        presets: other paces by name, as "fast".
    """

    folder: str
    folds: tuple[int | str, ...] = (0,)
    checkpoint: str = "checkpoint_final.pth"
    window: int = 5
    tile_step_size: float = 0.05
    mirroring: bool = True
    reach_px: float | None = None
    confidence: float = EVEN
    region_px: int | None = None
    outline_weight: float | None = None
    tracker_weight: float | None = None
    presets: Mapping[str, RefinerPreset] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.folds or any(
            fold != "all" and (isinstance(fold, bool) or not isinstance(fold, int)) for fold in self.folds
        ):
            raise BundleError(f'refiner.folds: expected fold numbers or "all", found {list(self.folds)}')
        if isinstance(self.window, bool) or not isinstance(self.window, int) or self.window < 1:
            raise BundleError(f"refiner.window: expected a whole number of frames from 1 on, found {self.window}")
        _check_pace("refiner", self.tile_step_size, self.mirroring)
        reach, confidence = self.reach_px, self.confidence
        if reach is not None and not (is_number(reach) and 0 <= reach < math.inf):
            raise BundleError(f"refiner.reach_px: expected 0 pixels or more, found {reach}")
        if not (is_number(confidence) and EVEN <= confidence < 1):
            raise BundleError(f"refiner.confidence: expected at least 0.5 and below 1, found {confidence}")
        self._check_place()
        if DEFAULT_PRESET in self.presets:
            raise BundleError(f"refiner.presets: expected names other than {DEFAULT_PRESET}, found it")

    def _check_place(self) -> None:
        weights = {"outline_weight": self.outline_weight, "tracker_weight": self.tracker_weight}
        if self.region_px is None:
            for name, weight in weights.items():
                if weight is not None:
                    raise BundleError(f"refiner.{name}: expected none without region_px, found {weight}")
            return
        try:
            check_region(self.region_px)
            for name, weight in weights.items():
                check_weight(name.replace("_", " "), weight)
        except InputError as error:
            raise BundleError(f"refiner: {error}") from None
        if self.window < 2:
            raise BundleError(f"refiner.window: expected 2 frames or more with region_px, found {self.window}")
        if self.confidence != EVEN:
            raise BundleError(f"refiner.confidence: expected 0.5 with region_px, found {self.confidence}")

    def preset(self, name: str) -> RefinerSpec:
        """The same refiner at another pace; "default" is this one. Raises InputError for a name that is not there."""
        if name == DEFAULT_PRESET:
            return self
        if name not in self.presets:
            known = ", ".join([DEFAULT_PRESET, *self.presets])
            raise InputError(f"refiner settings: expected one of {known}, found {name}")
        return dataclasses.replace(self, **dataclasses.asdict(self.presets[name]))

    @property
    def files(self) -> list[str]:
        """The files that the refiner is loaded from, relative to the bundle."""
        names = ["dataset.json", "plans.json", *(f"fold_{fold}/{self.checkpoint}" for fold in self.folds)]
        return [str(PurePosixPath(self.folder) / name) for name in names]


def read_refiner(value: Any) -> RefinerSpec:
    """The `refiner` of a manifest. Raises BundleError for an unknown key, or a value out of its range."""
    names = [field.name for field in dataclasses.fields(RefinerSpec)]
    expect_keys(value, "refiner", ("folder",), optional=names)
    for key in ("folder", "checkpoint"):
        if key in value and not isinstance(value[key], str):
            raise BundleError(f"refiner.{key}: expected a name, found {value[key]!r}")
    if "folds" in value and not isinstance(value["folds"], list):
        raise BundleError(f"refiner.folds: expected a list, found {value['folds']!r}")
    options = dict(value)
    if "folds" in options:
        options["folds"] = tuple(options["folds"])
    presets = options.get("presets", {})
    if not isinstance(presets, dict):
        raise BundleError(f"refiner.presets: expected settings by name, found {presets!r}")
    pace = [field.name for field in dataclasses.fields(RefinerPreset)]
    for name, preset in presets.items():
        expect_keys(preset, f"refiner.presets.{name}", pace, optional=())
    options["presets"] = {name: RefinerPreset(**preset) for name, preset in presets.items()}
    inside(options["folder"])
    return RefinerSpec(**options)


def refiner_document(refiner: RefinerSpec) -> dict[str, Any]:
    """The `refiner` of a manifest, of values that JSON knows."""
    document = dataclasses.asdict(refiner)
    # As bundles were before there were any.
    if not refiner.presets:
        del document["presets"]
    for key in ("reach_px", "region_px", "outline_weight", "tracker_weight"):
        if document[key] is None:
            del document[key]
    if refiner.confidence == EVEN:
        del document["confidence"]
    return document


def _check_pace(where: str, tile_step_size: Any, mirroring: Any) -> None:
    if not (is_number(tile_step_size) and 0 < tile_step_size <= 1):
        raise BundleError(f"{where}.tile_step_size: expected a fraction in (0, 1], found {tile_step_size}")
    if not isinstance(mirroring, bool):
        raise BundleError(f"{where}.mirroring: expected true or false, found {mirroring}")
