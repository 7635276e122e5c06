"""`bundle.json`: what a model bundle holds, and the method that it runs.

{"format": 2,
 "name": ...,
 "stabilisation": {"flows": [...]} | null,
 "sources": [{"kind": "outline" | "sam2" | "nnunet", ...settings}, ...],
 "postprocessing": [{"kind": "nnunet" | "fill_holes", ...settings}, ...],
 "box_segmenter": "sam2" | "grabcut" | "random_walker",   (may be left out: see `Bundle.segmenter`)
 "files": {relative path: sha256}}

The settings of each stage are declared with it (`cinetrack.tracking.kinds`). Manifests without a format number are of
format 1 (`format_1`).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from cinetrack.bundle.checksum import sha256_of
from cinetrack.bundle.format_1 import translated
from cinetrack.bundle.model_json import read_model_json
from cinetrack.errors import BundleError, InputError
from cinetrack.settings import expect_keys
from cinetrack.tracking.evidence.nnunet import NnunetSourceSettings
from cinetrack.tracking.evidence.outline import OutlineSettings
from cinetrack.tracking.evidence.sam2 import Sam2Settings
from cinetrack.tracking.kinds import StageSettings, postprocessing_kinds, source_kinds
from cinetrack.tracking.postprocessing.fill_holes import FillHolesSettings
from cinetrack.tracking.postprocessing.nnunet_redraw import NnunetRedrawSettings
from cinetrack.tracking.stabilisation import Stabiliser

MANIFEST_NAME = "bundle.json"
FORMAT = 2
BOX_SEGMENTERS = ("sam2", "grabcut", "random_walker")  # what turns a labeller's box into a mask


@dataclass(frozen=True)
class Method:
    """The settings of a chain: what `Chain` is made from.

    Attributes:
        stabilisation: None for frames as they are.
        sources: at least one.
        postprocessing: in order.
    """

    sources: tuple[StageSettings, ...]
    stabilisation: Stabiliser | None = None
    postprocessing: tuple[StageSettings, ...] = (FillHolesSettings(),)

    @property
    def stages(self) -> tuple[StageSettings, ...]:
        """Sources and post-processing."""
        return self.sources + self.postprocessing

    @property
    def sam2(self) -> Sam2Settings | None:
        """Of the SAM2 among the sources, where there is one."""
        return next((source for source in self.sources if isinstance(source, Sam2Settings)), None)

    @property
    def nnunet(self) -> NnunetSourceSettings | NnunetRedrawSettings | None:
        """Of the nnU-Net, source or post-processing, where there is one."""
        kinds = (NnunetSourceSettings, NnunetRedrawSettings)
        return next((stage for stage in self.stages if isinstance(stage, kinds)), None)

    @property
    def name(self) -> str:
        """What tracks, in a word: sam2, registration or static."""
        if self.sam2 is not None:
            return "sam2"
        return "static" if self.stabilisation is None else "registration"

    @property
    def description(self) -> str:
        """In words, as "stabilised frames, outline + sam2, then fill_holes"."""
        frames = "frames as they are" if self.stabilisation is None else "stabilised frames"
        steps = "".join(f", then {step.kind}" for step in self.postprocessing)
        return f"{frames}, {' + '.join(source.kind for source in self.sources)}{steps}"

    @property
    def files(self) -> list[str]:
        """The files that a bundle of this method must hold, relative to it."""
        return [file for stage in self.stages for file in stage.files]

    def tracker(self) -> Method:
        """The same without nnU-Net: what makes the masks that an nnU-Net is taught on."""
        return dataclasses.replace(
            self,
            sources=tuple(source for source in self.sources if not isinstance(source, NnunetSourceSettings)),
            postprocessing=tuple(step for step in self.postprocessing if not isinstance(step, NnunetRedrawSettings)),
        )


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
    method: Method
    fingerprint: str
    box_segmenter: str | None = None

    @property
    def segmenter(self) -> str:
        """One of BOX_SEGMENTERS. By default SAM2 itself where its configuration is one of sam2's published ones, whose
        training covered box prompts; for any other tracker GrabCut."""
        if self.box_segmenter is not None:
            return self.box_segmenter
        return "sam2" if has_published_weights(self) else "grabcut"

    @property
    def description(self) -> str:
        """For logs: the name and the chain."""
        return f"{self.name} ({self.method.description})"


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
        if isinstance(document, dict):
            document = _of_today(document)
        required = ("format", "name", "stabilisation", "sources", "postprocessing", "files")
        expect_keys(document, "bundle", required, optional=("box_segmenter",))
        if not isinstance(document["name"], str) or not document["name"].strip():
            raise BundleError(f"name: expected a non-empty string, found {document['name']!r}")
        method = _read_method(document)
        box_segmenter = check_box_segmenter(document.get("box_segmenter"), method)
        files = _read_files(document["files"])
        _expect_covered(method.files, files)
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from None
    except InputError as error:
        raise BundleError(str(error)) from None
    for name, expected in files.items():
        _verify(folder / name, expected)
    fingerprint = hashlib.sha256(path.read_bytes()).hexdigest()
    return Bundle(folder, document["name"], method, fingerprint, box_segmenter)


def has_published_weights(bundle: Bundle) -> bool:
    """Whether the tracker is a SAM2 of one of sam2's own configurations: Meta's weights, or ones tuned from them."""
    return bundle.method.sam2 is not None and bundle.method.sam2.has_published_config


def check_box_segmenter(name: Any, method: Method) -> str | None:
    """`name` where it is None or a box segmenter that this method can serve. Raises BundleError otherwise."""
    if name is not None and name not in BOX_SEGMENTERS:
        raise BundleError(f"box_segmenter: expected one of {', '.join(BOX_SEGMENTERS)}, found {name!r}")
    if name == "sam2" and method.sam2 is None:
        raise BundleError(f"box_segmenter: expected grabcut or random_walker with {method.name}, found 'sam2'")
    return name


def check_method(method: Method) -> None:
    """Raise BundleError for stages that do not go together."""
    kinds = [source.kind for source in method.sources]
    if not kinds:
        raise BundleError("sources: expected at least one, found none")
    for kind in kinds:
        if kinds.count(kind) > 1:
            raise BundleError(f"sources: expected one {kind} at most, found {kinds.count(kind)}")
    if "nnunet" in kinds and method.stabilisation is None:
        raise BundleError("sources: expected nnunet with stabilisation only, found it on frames as they are")
    if "nnunet" in kinds and len(kinds) == 1:
        raise BundleError("sources: expected an outline or SAM2 beside nnunet, found nnunet alone")


def manifest_of(name: str, method: Method, files: dict[str, str], box_segmenter: str | None = None) -> str:
    """The text of a `bundle.json`; `files` maps relative paths to sha256."""
    document = {
        "format": FORMAT,
        "name": name,
        "stabilisation": None if method.stabilisation is None else method.stabilisation.document(),
        "sources": [{"kind": stage.kind, **stage.document()} for stage in method.sources],
        "postprocessing": [{"kind": stage.kind, **stage.document()} for stage in method.postprocessing],
        **({} if box_segmenter is None else {"box_segmenter": box_segmenter}),
        "files": files,
    }
    return json.dumps(document, indent=2) + "\n"


def _of_today(document: dict[str, Any]) -> dict[str, Any]:
    """The manifest in today's format. The format comes before all else: the keys of another one are none of ours."""
    if "format" not in document:
        return translated(document)
    if document["format"] != FORMAT:
        raise BundleError(f"format: expected {FORMAT}, or none in an older manifest, found {document['format']!r}")
    return document


def _read_method(document: dict[str, Any]) -> Method:
    stabilisation = document["stabilisation"]
    method = Method(
        _read_stages(document["sources"], "sources", source_kinds()),
        None if stabilisation is None else Stabiliser.from_document(stabilisation, "stabilisation"),
        _read_stages(document["postprocessing"], "postprocessing", postprocessing_kinds()),
    )
    check_method(method)
    for name in method.files:
        _inside(name)
    return method


def _read_stages(value: Any, where: str, known: Any) -> tuple[StageSettings, ...]:
    if not isinstance(value, list):
        raise BundleError(f"{where}: expected a list of stages, found {value!r}")
    stages = []
    for number, stage in enumerate(value):
        kind = stage.get("kind") if isinstance(stage, dict) else None
        if not isinstance(kind, str) or kind not in known:
            raise BundleError(f"{where}[{number}].kind: expected one of {', '.join(known)}, found {kind!r}")
        settings = {key: setting for key, setting in stage.items() if key != "kind"}
        stages.append(known[kind].from_document(settings, f"{where}[{number}]"))
    return tuple(stages)


def _read_files(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise BundleError(f"files: expected {{relative path: sha256}}, found {value!r}")
    for name, checksum in value.items():
        _inside(name)
        if not isinstance(checksum, str) or len(checksum) != 64 or set(checksum) - set("0123456789abcdef"):
            raise BundleError(f"files: expected a sha256 (64 hexadecimal digits) for {name}, found {checksum!r}")
    return value


def _inside(name: str) -> None:
    """Raise BundleError unless `name` is a relative path that stays in the bundle's folder."""
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise BundleError(f"expected a path inside the bundle, found {name!r}")
    if any(len(part.encode(errors="replace")) > 255 for part in path.parts) or len(name) > 2000:
        raise BundleError(f"expected a path of usual length, found {name[:60]!r}... of {len(name)} characters")


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


# The bundles without weights, by the name that stands for them on the command line.
WEIGHTLESS = {
    "registration": Method((OutlineSettings(),), Stabiliser(("flexible",))),
    "static": Method((OutlineSettings(),)),
}
