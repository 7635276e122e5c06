"""The truth of a case: its labels, what the metrics need beside them, and the further observers' labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cinetrack.errors import InputError
from cinetrack.sequence import CaseFiles
from cinetrack.sequence.image_files import image_facts, read_masks


@dataclass(frozen=True, eq=False)
class Truth:
    """True masks of every frame and what else scoring needs.

    Attributes:
        masks: (T, H, W) bool.
        number_type: of the file (see `dose`).
        spacing_mm: (row, column).
        region: scanned region.
        frame_rate_hz, field_strength_t: Hz and tesla.
    """

    masks: np.ndarray
    number_type: np.dtype
    spacing_mm: tuple[float, float]
    region: str
    frame_rate_hz: float
    field_strength_t: float


def read_truth(case: CaseFiles, shape: tuple[int, ...] | None = None) -> Truth:
    """Read the truth of a case. Raises InputError naming the file that is missing or unusable.

    Args:
        shape: (T, H, W) that it must have, where it is known.
    """
    path = case.labels_file()
    masks, geometry = read_masks(path, shape)
    return Truth(
        masks=masks,
        number_type=_number_type(path),
        spacing_mm=geometry.spacing_mm,
        region=case.region(),
        frame_rate_hz=case.frame_rate_hz(),
        field_strength_t=case.field_strength_t(),
    )


def read_observers(case: CaseFiles, shape: tuple[int, int, int]) -> Iterator[tuple[str, np.ndarray | InputError]]:
    """The name and masks, (T, H, W) bool, of each observer whose labels are not the truth.

    An observer whose labels cannot be used costs that observer alone: the error stands in the masks' place.

    Args:
        shape: of the truth, which they must have.
    """
    for observer in sorted(case.observer_labels):
        try:
            yield observer, case.read_labels(observer, shape)
        except InputError as error:
            yield observer, error


def _number_type(path: Path) -> np.dtype:
    number_type = image_facts(path, "a mask")[1]
    # All integers behave alike here, so that one stands for them.
    return number_type if number_type.kind == "f" else np.dtype(np.uint8)
