"""The cases to train on: series with labels of every frame, and series with accepted pseudo-labels."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cinetrack.errors import InputError
from cinetrack.sequence import CaseFiles, find_cases
from cinetrack.sequence.image_files import image_facts, read_index_masks, read_series
from cinetrack.sequence.intensity import min_max_8bit
from cinetrack.sequence.json_files import read_json
from cinetrack.sequence.trackrad_dataset import check_each_once

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingCase:
    """A series and where its masks are.

    Attributes:
        case: the series' files.
        masks_path: labels of every frame, or indices of the objects.
        accepted_frames: the frames that may be trained on; None for all.
    """

    case: CaseFiles
    masks_path: Path
    accepted_frames: tuple[int, ...] | None = None

    @property
    def is_pseudo_labelled(self) -> bool:
        """Whether the masks were tracked, not drawn."""
        return self.accepted_frames is not None

    def read(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Read the case as a tracker sees it.

        Returns:
            frames: (T, H, W) uint8, each scaled between its own minimum and maximum as at inference.
            objects: (T, H, W) uint8 indices, 0 where no object is.
            accepted: (N,) int, the frames that may be trained on.
        Raises:
            InputError: a file is missing or unusable, or masks and frames do not belong together.
        """
        self.case.check()
        frames = read_series(self.case.series_path)[0]
        masks_path = self.masks_path if self.is_pseudo_labelled else self.case.checked(self.masks_path)
        shape = image_facts(masks_path, "masks of objects")[0]
        if shape != frames.shape:  # from the header: what does not belong here is not inflated
            raise InputError(
                f"{masks_path}: expected masks of the {frames.shape} frames of {self.case.series_path.name}, "
                f"found {shape}"
            )
        objects = read_index_masks(masks_path)[0]
        accepted = np.arange(len(frames)) if self.accepted_frames is None else np.array(self.accepted_frames, dtype=int)
        if len(accepted) and accepted.max() >= len(frames):
            raise InputError(f"{self.masks_path}: expected accepted frames among {len(frames)}, found {accepted.max()}")
        return np.stack([min_max_8bit(frame) for frame in frames]), objects, accepted


def training_cases(folders: Sequence[Path], pseudo_labels: Sequence[Path] = ()) -> list[TrainingCase]:
    """Every case of the folders that can be trained on.

    Raises:
        InputError: a folder holds no case, two cases have one name, nothing is labelled, or pseudo-labels are of a
            series that none of the folders has.
    """
    listed = [case for folder in folders for case in find_cases(folder)]
    check_each_once(listed)
    cases = {case.case_id: case for case in listed}
    found = [TrainingCase(case, case.labels_path) for case in cases.values() if case.labels_path is not None]
    for folder in pseudo_labels:
        found += _pseudo_labelled(folder, cases)
    if not found:
        names = ", ".join(map(str, (*folders, *pseudo_labels))) or "no folder"
        raise InputError(f"{names}: expected a case with labels of every frame, or pseudo-labels, found none")
    return sorted(found, key=lambda case: (case.case.case_id, case.is_pseudo_labelled))


def _pseudo_labelled(folder: Path, cases: dict[str, CaseFiles]) -> list[TrainingCase]:
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a folder of pseudo-labels, found none")
    found = []
    for meta_path in sorted(folder.glob("*/meta.json")):
        meta = read_json(meta_path)
        case_id, accepted = _content(meta, meta_path)
        if case_id not in cases:
            raise InputError(f"{meta_path}: expected the series {case_id} in one of the datasets, found none")
        if cases[case_id].labels_path is not None:
            logger.info("%s: labels of every frame exist, the pseudo-labels are not used", case_id)
            continue
        found.append(TrainingCase(cases[case_id], meta_path.parent / "masks.mha", accepted))
    if not found:
        raise InputError(f"{folder}: expected pseudo-labels as `cinetrack propagate` writes them, found none")
    return found


def _content(meta: Any, path: Path) -> tuple[str, tuple[int, ...]]:
    if isinstance(meta, dict):
        case_id, accepted = meta.get("case_id"), meta.get("accepted_frames")
        if (
            isinstance(case_id, str)
            and isinstance(accepted, list)
            and all(type(frame) is int and frame >= 0 for frame in accepted)
        ):
            return case_id, tuple(sorted(set(accepted)))
    raise InputError(f"{path}: expected case_id and accepted_frames, found {str(meta)[:80]}")
