"""Which image of a patient's folder is which, by its name alone; see `trackrad_dataset` for the names.

A number has two meanings in these names: `<patient>_labels2.mha` is the second series' labels where there is a second
series, and a second observer's where there is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cinetrack.sequence.image_formats import image_stem, image_suffix, images_among

FIRST_OBSERVER = "first"  # whose labels are in <patient>_labels.mha, where the consensus is the truth


@dataclass(frozen=True)
class LabelFiles:
    """The labels of one series; `observers` are further ones by the name in the file."""

    first: Path | None = None
    truth: Path | None = None
    observers: dict[str, Path] = field(default_factory=dict)


def images_in(folder: Path) -> list[Path]:
    """The images in a folder, by their endings, sorted; none where there is no folder. Raises OSError.

    What is there and cannot be read, a link to nowhere say, is among them: whoever reads it says so.
    """
    if not folder.is_dir():
        return []
    return images_among(path for path in folder.iterdir() if not path.is_dir() and not path.name.startswith("."))


def same_but_for_ending(path: Path) -> list[Path]:
    """`path` and the images beside it whose names differ from its in their endings only."""
    return [other for other in images_in(path.parent) if image_stem(other) == image_stem(path)]


def series_of(patient: str, images: Iterable[Path]) -> dict[str, list[Path]]:
    """A patient's series by number, "" for the first; several files of one number are a mistake.

    The patient's name before "_frames" is the rule; the bare name is seen in unlabelled folders.
    """
    pattern = re.compile(rf"(?:{re.escape(patient.casefold())}_)?frames(\d*)")
    found: dict[str, list[Path]] = {}
    for path in images:
        if match := pattern.fullmatch(image_stem(path)):
            found.setdefault("" if match[1] == "1" else match[1], []).append(path)
    return dict(sorted(found.items(), key=lambda item: int(item[0] or 1)))


def labels_of(patient: str, targets: Iterable[Path], scans: Iterable[str]) -> dict[str, LabelFiles]:
    """The labels of each series in `scans`."""
    prefix = f"{patient.casefold()}_"
    left: dict[str, Path] = {}  # what follows the patient's name -> file
    for path in targets:
        if image_stem(path).startswith(prefix):
            left.setdefault(image_stem(path)[len(prefix) :], path)

    def take(*names: str) -> Path | None:
        return next((left.pop(name) for name in names if name in left), None)

    found = {}
    for scan in sorted(scans, key=len, reverse=True):  # "" last: it gets what is left
        further = (f"labels{scan}", f"labels_{scan}") if scan else ("labels",)
        labels, consensus = take(*further), take(f"staple_labels{scan}")
        observers = {FIRST_OBSERVER: labels} if labels and consensus else {}
        pattern = re.compile(rf"labels{scan}_(.+)" if scan else r"labels_?(.+)")
        for name in list(left):
            if pattern.fullmatch(name):
                path = left.pop(name)
                observers[_observer(path, len(prefix), pattern)] = path
        found[scan] = LabelFiles(take(f"first_label{scan}"), consensus or labels, observers)
    return found


def _observer(path: Path, prefix_length: int, pattern: re.Pattern[str]) -> str:
    name = path.name[prefix_length : len(path.name) - len(image_suffix(path))]
    match = re.fullmatch(pattern.pattern, name, re.IGNORECASE)
    return match[1] if match else name
