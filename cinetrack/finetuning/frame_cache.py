"""Training cases as memory-mapped arrays, so that every loader process shares one copy and reads only its clip.

A compressed mha has to be read whole for a clip of 8 frames; from the map, a clip is a page or two.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cinetrack.finetuning.training_case import TrainingCase
from cinetrack.sequence.atomic_write import atomic_path, write_text_atomically


FORMAT_VERSION = 2


@dataclass(frozen=True)
class CachedCase:
    """Where a case's arrays are; opened anew in every process.

    Attributes:
        name: the case's id.
        patient_id: whose series it is.
        folder: holds frames.npy (T, H, W) uint8 and objects.npy (T, H, W) uint8.
        accepted_frames: the frames that may be trained on, ascending.
        showing: those of them that show an object.
    """

    name: str
    patient_id: str
    folder: Path
    accepted_frames: tuple[int, ...]
    showing: frozenset[int]

    def open(self) -> tuple[np.ndarray, np.ndarray]:
        """Frames and object indices, both (T, H, W) uint8, memory-mapped and read-only."""
        return tuple(np.load(self.folder / f"{name}.npy", mmap_mode="r") for name in ("frames", "objects"))

    def clip_starts(self, clip_frames: int) -> list[int]:
        """Where in `accepted_frames` a clip of so many frames may begin: there must be something to prompt."""
        possible = self.accepted_frames[: max(len(self.accepted_frames) - clip_frames + 1, 0)]
        return [start for start, frame in enumerate(possible) if frame in self.showing]


def cached(case: TrainingCase, cache: Path) -> CachedCase:
    """The case's arrays below `cache`, made where they are missing or the files have changed. Raises InputError."""
    folder = cache / f"{case.case.case_id}-{_fingerprint(case)}"
    done = folder / "case.json"
    if not done.exists():
        frames, objects, accepted = case.read()
        for name, array in (("frames", frames), ("objects", objects)):
            with atomic_path(folder / f"{name}.npy") as temporary:
                np.save(temporary, array)
        showing = accepted[objects[accepted].any(axis=(1, 2))]
        write_text_atomically(done, json.dumps({"accepted_frames": accepted.tolist(), "showing": showing.tolist()}))
    facts = json.loads(done.read_text())
    accepted_frames, showing_frames = tuple(facts["accepted_frames"]), frozenset(facts["showing"])
    return CachedCase(case.case.case_id, case.case.patient_id, folder, accepted_frames, showing_frames)


def _fingerprint(case: TrainingCase) -> str:
    """Changes with either file, so that a cache is never older than its source."""
    facts: list[object] = [FORMAT_VERSION, case.accepted_frames]
    for path in (case.case.series_path, case.masks_path):
        status = path.stat() if path.exists() else None
        facts.append((str(path.absolute()), status and status.st_size, status and status.st_mtime_ns))
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:12]
