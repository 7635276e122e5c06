"""`bundle.json`: what a model bundle holds and how it is to be run.

{"name": ...,
 "tracker": {"kind": "sam2", "config", "checkpoint", "region_px", "motion_compensation": {"outline_weight"}}
          | {"kind": "registration", ...settings} | {"kind": "static"},        (from region_px on all optional)
 "refiner": null | {"folder", "folds", "checkpoint", "window", "tile_step_size", "mirroring", "reach_px",
                    "confidence", "presets": {name: {"tile_step_size", "mirroring"}}},   (all but folder optional)
 "box_segmenter": "sam2" | "grabcut" | "random_walker",   (may be left out: see `Bundle.segmenter`)
 "files": {relative path: sha256}}
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from cinetrack.bundle.checksum import sha256_of
from cinetrack.errors import BundleError, InputError
from cinetrack.sequence.json_files import read_json
from cinetrack.tracking.region import check_region
from cinetrack.tracking.motion_compensation import MotionCompensation
from cinetrack.tracking.optical_flow import FlowSettings

MANIFEST_NAME = "bundle.json"
DEFAULT_PRESET = "default"
EVEN = 0.5  # `cinetrack.refinement.confidence`'s, whose package imports torch
BOX_SEGMENTERS = ("sam2", "grabcut", "random_walker")  # what turns a labeller's box into a mask


@dataclass(frozen=True)
class StaticSpec:
    """The first mask copied; no settings."""

    kind: str = "static"


@dataclass(frozen=True)
class RegistrationSpec:
    """Dense registration with its settings."""

    settings: FlowSettings = FlowSettings()
    kind: str = "registration"


@dataclass(frozen=True)
class Sam2Spec:
    """SAM2.

    Attributes:
        config: the name of one of sam2's own configurations, or of a yaml in the bundle.
        checkpoint: in the bundle.
        region_px: side of the target's surroundings that it is shown; None for whole frames, as in the paper.
        motion_compensation: how it is shown frames that registration has warped onto the first; None, as in the paper,
            for frames as they are.
    """

    config: str
    checkpoint: str
    region_px: int | None = None
    motion_compensation: MotionCompensation | None = None
    kind: str = "sam2"

    def __post_init__(self) -> None:
        if self.region_px is not None:
            check_region(self.region_px)


TrackerSpec = StaticSpec | RegistrationSpec | Sam2Spec


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
        if reach is not None and not (_is_number(reach) and 0 <= reach < math.inf):
            raise BundleError(f"refiner.reach_px: expected 0 pixels or more, found {reach}")
        if not (_is_number(confidence) and EVEN <= confidence < 1):
            raise BundleError(f"refiner.confidence: expected at least 0.5 and below 1, found {confidence}")
        if DEFAULT_PRESET in self.presets:
            raise BundleError(f"refiner.presets: expected names other than {DEFAULT_PRESET}, found it")

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


@dataclass(frozen=True)
class Bundle:
    """A model bundle whose manifest is understood and whose files are as they were when it was made.

    Attributes:
        folder: where it lies.
        fingerprint: sha256 of the manifest, and so, by the sums it holds, of everything.
        box_segmenter: what turns a labeller's box into a mask, where the manifest says so.
    """

    folder: Path
    name: str
    tracker: TrackerSpec
    refiner: RefinerSpec | None
    fingerprint: str
    box_segmenter: str | None = None

    @property
    def segmenter(self) -> str:
        """One of BOX_SEGMENTERS. By default SAM2 itself where its configuration is one of sam2's published ones, whose
        training covered box prompts; for any other tracker GrabCut."""
        if self.box_segmenter is not None:
            return self.box_segmenter
        return "sam2" if has_published_weights(self) else "grabcut"

    def with_refiner_settings(self, name: str) -> Bundle:
        """This bundle with its refiner at another pace, and so another model: its fingerprint differs as well.

        Raises:
            InputError: there is no refiner, or no preset of this name.
        """
        if self.refiner is None:
            raise InputError(f"{self.folder}: expected a bundle with a refiner for refiner settings, found none")
        chosen = self.refiner.preset(name)
        if chosen is self.refiner:
            return self
        fingerprint = hashlib.sha256(f"{self.fingerprint} {name}".encode()).hexdigest()
        return dataclasses.replace(self, refiner=chosen, fingerprint=fingerprint)

    @property
    def description(self) -> str:
        """For logs: the name, the tracker and the refiner."""
        refined = "nnU-Net refiner" if self.refiner else "no refiner"
        return f"{self.name} ({self.tracker.kind} tracker, {refined})"


def open_bundle(folder: Path) -> Bundle:
    """Read and verify a bundle.

    Raises:
        BundleError: no or a malformed manifest, an unknown key, a file that is missing, outside the bundle, without a
            checksum, or altered.
    """
    path = folder / MANIFEST_NAME
    if not path.is_file():
        raise BundleError(f"{path}: expected a model bundle's manifest, found none")
    try:
        document = read_json(path)
        _expect_keys(document, "bundle", ("name", "tracker", "refiner", "files"), optional=("box_segmenter",))
        if not isinstance(document["name"], str) or not document["name"].strip():
            raise BundleError(f"name: expected a non-empty string, found {document['name']!r}")
        tracker = _read_tracker(document["tracker"])
        refiner = None if document["refiner"] is None else _read_refiner(document["refiner"])
        box_segmenter = check_box_segmenter(document.get("box_segmenter"), tracker)
        files = _read_files(document["files"])
        _expect_covered(needed_files(tracker, refiner), files)
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from None
    except InputError as error:
        raise BundleError(str(error)) from None
    for name, expected in files.items():
        _verify(folder / name, expected)
    fingerprint = hashlib.sha256(path.read_bytes()).hexdigest()
    return Bundle(folder, document["name"], tracker, refiner, fingerprint, box_segmenter)


def has_published_weights(bundle: Bundle) -> bool:
    """Whether the tracker is a SAM2 of one of sam2's own configurations: Meta's weights, or ones tuned from them."""
    return isinstance(bundle.tracker, Sam2Spec) and _is_published(bundle.tracker.config)


def check_box_segmenter(name: Any, tracker: TrackerSpec) -> str | None:
    """`name` where it is None or a box segmenter that this tracker can serve. Raises BundleError otherwise."""
    if name is not None and name not in BOX_SEGMENTERS:
        raise BundleError(f"box_segmenter: expected one of {', '.join(BOX_SEGMENTERS)}, found {name!r}")
    if name == "sam2" and not isinstance(tracker, Sam2Spec):
        raise BundleError(
            f"box_segmenter: expected grabcut or random_walker with a {tracker.kind} tracker, found 'sam2'"
        )
    return name


def manifest_of(
    name: str,
    tracker: TrackerSpec,
    refiner: RefinerSpec | None,
    files: dict[str, str],
    box_segmenter: str | None = None,
) -> str:
    """The text of a `bundle.json`; `files` maps relative paths to sha256."""
    settings = dataclasses.asdict(tracker)
    settings = {"kind": settings.pop("kind"), **settings.pop("settings", {}), **settings}
    for key in ("region_px", "motion_compensation"):  # as bundles were before there were any
        if settings.get(key) is None:
            settings.pop(key, None)
    document = {
        "name": name,
        "tracker": settings,
        "refiner": None if refiner is None else _refiner_document(refiner),
        **({} if box_segmenter is None else {"box_segmenter": box_segmenter}),
        "files": files,
    }
    return json.dumps(document, indent=2) + "\n"


def _refiner_document(refiner: RefinerSpec) -> dict[str, Any]:
    document = dataclasses.asdict(refiner)
    # As bundles were before there were any.
    if not refiner.presets:
        del document["presets"]
    if refiner.reach_px is None:
        del document["reach_px"]
    if refiner.confidence == EVEN:
        del document["confidence"]
    return document


def needed_files(tracker: TrackerSpec, refiner: RefinerSpec | None) -> list[str]:
    """The files that a bundle of these settings must hold, relative to it."""
    needed: list[str] = []
    if isinstance(tracker, Sam2Spec):
        needed.append(tracker.checkpoint)
        if not _is_published(tracker.config):
            needed.append(tracker.config)
    if refiner is not None:
        needed.extend(refiner.files)
    return needed


def _is_published(config: str) -> bool:
    from cinetrack.tracking.sam2.architecture import is_published_config  # imports torch: only for SAM2 bundles

    return is_published_config(config)


def _read_tracker(value: Any) -> TrackerSpec:
    kinds = ("sam2", "registration", "static")
    kind = value.get("kind") if isinstance(value, dict) else None
    if kind not in kinds:
        raise BundleError(f"tracker.kind: expected one of {', '.join(kinds)}, found {kind!r}")
    if kind == "sam2":
        _expect_keys(value, "tracker", ("kind", "config", "checkpoint"), optional=("region_px", "motion_compensation"))
        for key in ("config", "checkpoint"):
            if not isinstance(value[key], str):
                raise BundleError(f"tracker.{key}: expected a file name, found {value[key]!r}")
        config, checkpoint = _inside(value["config"]), _inside(value["checkpoint"])
        compensation = _read_motion_compensation(value.get("motion_compensation"))
        try:
            return Sam2Spec(config, checkpoint, value.get("region_px"), compensation)
        except InputError as error:
            raise BundleError(f"tracker.region_px: {error}") from None
    if kind == "static":
        _expect_keys(value, "tracker", ("kind",), optional=())
        return StaticSpec()
    settings = {field.name for field in dataclasses.fields(FlowSettings)}
    _expect_keys(value, "tracker", ("kind",), optional=settings)
    given = {key: value[key] for key in settings & value.keys()}
    for key, setting in given.items():
        numbers = setting if key == "window_percentiles" else [setting]
        whole = key != "window_percentiles"
        if (
            not isinstance(numbers, list)
            or (not whole and len(numbers) != 2)
            or any(isinstance(n, bool) or not isinstance(n, int if whole else (int, float)) for n in numbers)
        ):
            raise BundleError(
                f"tracker.{key}: expected {'a whole number' if whole else 'two numbers'}, found {setting!r}"
            )
    if "window_percentiles" in given:
        given["window_percentiles"] = tuple(given["window_percentiles"])
    try:
        return RegistrationSpec(FlowSettings(**given))
    except InputError as error:
        raise BundleError(str(error)) from None


def _read_motion_compensation(value: Any) -> MotionCompensation | None:
    if value is None:
        return None
    _expect_keys(value, "tracker.motion_compensation", (), optional=("outline_weight",))
    try:
        return MotionCompensation(**value)
    except InputError as error:
        raise BundleError(f"tracker.motion_compensation: {error}") from None


def _read_refiner(value: Any) -> RefinerSpec:
    names = [field.name for field in dataclasses.fields(RefinerSpec)]
    _expect_keys(value, "refiner", ("folder",), optional=names)
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
        _expect_keys(preset, f"refiner.presets.{name}", pace, optional=())
    options["presets"] = {name: RefinerPreset(**preset) for name, preset in presets.items()}
    _inside(options["folder"])
    return RefinerSpec(**options)


def _check_pace(where: str, tile_step_size: Any, mirroring: Any) -> None:
    if not (_is_number(tile_step_size) and 0 < tile_step_size <= 1):
        raise BundleError(f"{where}.tile_step_size: expected a fraction in (0, 1], found {tile_step_size}")
    if not isinstance(mirroring, bool):
        raise BundleError(f"{where}.mirroring: expected true or false, found {mirroring}")


def _read_files(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise BundleError(f"files: expected {{relative path: sha256}}, found {value!r}")
    for name, checksum in value.items():
        _inside(name)
        if not isinstance(checksum, str) or len(checksum) != 64 or set(checksum) - set("0123456789abcdef"):
            raise BundleError(f"files: expected a sha256 (64 hexadecimal digits) for {name}, found {checksum!r}")
    return value


def _expect_keys(value: Any, where: str, required: Iterable[str], optional: Iterable[str]) -> None:
    if not isinstance(value, dict):
        raise BundleError(f"{where}: expected an object with {', '.join(required)}, found {value!r}")
    missing = [key for key in required if key not in value]
    unknown = sorted(value.keys() - {*required, *optional})
    if missing:
        raise BundleError(f"{where}: expected the keys {', '.join(required)}, found no {', '.join(missing)}")
    if unknown:
        known = ", ".join(sorted({*required, *optional}))
        raise BundleError(f"{where}: expected only the keys {known}, found {', '.join(unknown)}")


def _inside(name: str) -> str:
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\\" in name:
        raise BundleError(f"expected a path inside the bundle, found {name!r}")
    return name


def _expect_covered(needed: list[str], files: dict[str, str]) -> None:
    for name in needed:
        if name not in files:
            raise BundleError(f"files: expected a sha256 for {name}, which the bundle loads, found none")


def _verify(path: Path, expected: str) -> None:
    if not path.is_file():
        raise BundleError(f"{path}: expected a file of the bundle, found none")
    found = sha256_of(path)
    if found != expected:
        raise BundleError(f"{path}: expected sha256 {expected}, found {found}")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
