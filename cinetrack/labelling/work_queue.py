"""Which sequence comes next, and how far everyone is.

Patients are drawn, not sequences: a patient with twenty series would otherwise be twenty times as likely. Those with
the fewest labels (or labels being made) come first, so all have one before any has two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cinetrack.errors import InputError
from cinetrack.labelling.label_book import LabelBook, LabelVersion
from cinetrack.labelling.leases import Leases
from cinetrack.sequence import CaseFiles

Status = Literal["open", "in work", "labelled", "bad image", "flagged"]


@dataclass(frozen=True)
class Progress:
    """Counts of sequences set aside or labelled, patients with a label, and labelled sequences' frames."""

    sequences: int
    patients: int
    frames: int


class WorkQueue:
    """Hands out a dataset's sequences. One is shared by all users of a server; several servers may share a store."""

    def __init__(self, cases: list[CaseFiles], book: LabelBook, leases: Leases) -> None:
        self.cases = {case.case_id: case for case in cases}
        self._book = book
        self._leases = leases

    def draw(self, holder: str, rng: np.random.Generator, refused: Collection[str] = ()) -> CaseFiles | None:
        """Lease a sequence that nobody has labelled or is labelling; None where there is none left but `refused`."""
        refused = set(refused)
        while True:
            done, held = self._book.all_current(), self._leases.held()
            taken = {case_id for case_id, other in held.items() if other != holder}
            weight = Counter(
                self.cases[case_id].patient_id
                for case_id in self.cases
                if case_id in taken or (case_id in done and done[case_id].meta.kind == "label")
            )
            unlabelled: dict[str, list[CaseFiles]] = {}
            for case_id, case in self.cases.items():
                if case_id not in done and case_id not in taken and case_id not in refused:
                    unlabelled.setdefault(case.patient_id, []).append(case)
            if not unlabelled:
                return None
            fewest = min(weight[patient] for patient in unlabelled)
            patients = sorted(patient for patient in unlabelled if weight[patient] == fewest)
            candidates = unlabelled[patients[rng.integers(len(patients))]]
            case = candidates[rng.integers(len(candidates))]
            if self.open(case.case_id, holder):
                try:
                    if self._book.current(case.case_id) is None:
                        return case
                except InputError:
                    pass  # its label is damaged, and nobody else's to replace
                self.close(case.case_id, holder)  # finished and given back since we looked
            refused.add(case.case_id)  # someone was faster

    def open(self, case_id: str, holder: str) -> bool:
        """Lease one particular sequence; False where someone else has it. Raises KeyError for an unknown one."""
        return self._leases.take(self.cases[case_id].case_id, holder)

    def holder_of(self, case_id: str) -> str | None:
        """Who is at a sequence now; None where nobody is."""
        return self._leases.holder_of(case_id)

    def close(self, case_id: str, holder: str) -> None:
        """Give a lease back."""
        self._leases.give_back(case_id, holder)

    def status(self) -> dict[str, tuple[Status, str]]:
        """Every sequence's status and who it is with ("" where nobody), by case id."""
        done, held, flags = self._book.all_current(), self._leases.held(), self._book.open_flags()
        found: dict[str, tuple[Status, str]] = {}
        for case_id in self.cases:
            version = done.get(case_id)
            if case_id in held:
                found[case_id] = ("in work", held[case_id])
            elif version is None:
                found[case_id] = ("open", "")
            else:
                found[case_id] = ("flagged" if case_id in flags else _finished(version), version.meta.user)
        return found

    def progress(self, user: str | None = None) -> Progress:
        """What `user` has done, or everyone together."""
        versions = [
            version
            for case_id, version in self._book.all_current().items()
            if case_id in self.cases and user in (None, version.meta.user)
        ]
        labelled = [version.meta for version in versions if version.meta.kind == "label"]
        return Progress(
            len(versions), len({meta.patient_id for meta in labelled}), sum(meta.frame_count for meta in labelled)
        )

    def latest_of(self, user: str) -> LabelVersion | None:
        """The user's last submission that still stands."""
        mine = [v for case_id, v in self._book.all_current().items() if v.meta.user == user and case_id in self.cases]
        return max(mine, key=lambda version: version.meta.time, default=None)


def _finished(version: LabelVersion) -> Status:
    return "labelled" if version.meta.kind == "label" else "bad image"
