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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cinetrack.bundle.checksum import sha256_of
from cinetrack.bundle.manifest_values import expect_keys, inside
from cinetrack.bundle.model_json import read_model_json
from cinetrack.bundle.refiner_spec import RefinerSpec, read_refiner, refiner_document
from cinetrack.bundle.tracker_spec import Sam2Spec, TrackerSpec, is_published, read_tracker
from cinetrack.errors import BundleError, InputError

MANIFEST_NAME = "bundle.json"
BOX_SEGMENTERS = ("sam2", "grabcut", "random_walker")  # what turns a labeller's box into a mask


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
    document = read_model_json(path)
    try:
        expect_keys(document, "bundle", ("name", "tracker", "refiner", "files"), optional=("box_segmenter",))
        if not isinstance(document["name"], str) or not document["name"].strip():
            raise BundleError(f"name: expected a non-empty string, found {document['name']!r}")
        tracker = read_tracker(document["tracker"])
        refiner = None if document["refiner"] is None else read_refiner(document["refiner"])
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
    return isinstance(bundle.tracker, Sam2Spec) and is_published(bundle.tracker.config)


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
        "refiner": None if refiner is None else refiner_document(refiner),
        **({} if box_segmenter is None else {"box_segmenter": box_segmenter}),
        "files": files,
    }
    return json.dumps(document, indent=2) + "\n"


def needed_files(tracker: TrackerSpec, refiner: RefinerSpec | None) -> list[str]:
    """The files that a bundle of these settings must hold, relative to it."""
    needed: list[str] = []
    if isinstance(tracker, Sam2Spec):
        needed.append(tracker.checkpoint)
        if not is_published(tracker.config):
            needed.append(tracker.config)
    if refiner is not None:
        needed.extend(refiner.files)
    return needed


def _read_files(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise BundleError(f"files: expected {{relative path: sha256}}, found {value!r}")
    for name, checksum in value.items():
        inside(name)
        if not isinstance(checksum, str) or len(checksum) != 64 or set(checksum) - set("0123456789abcdef"):
            raise BundleError(f"files: expected a sha256 (64 hexadecimal digits) for {name}, found {checksum!r}")
    return value


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
