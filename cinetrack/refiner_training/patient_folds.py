"""Folds by patient: nnU-Net deals out samples by name, which puts frames of one patient on both sides.

Each fold holds out its patients. Field strength and region are spread evenly over the folds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cinetrack.errors import InputError
from cinetrack.sequence import CaseFiles
from cinetrack.sequence.atomic_write import write_text_atomically
from cinetrack.sequence.json_files import read_json

FOLDS = 5

Folds = tuple[tuple[str, ...], ...]  # the patients that each fold holds out
Stratum = tuple[float, str]  # field strength in tesla, region


def strata_of(cases: Iterable[CaseFiles]) -> dict[str, Stratum]:
    """Each patient's field strength and region, from the patient's first case. Raises InputError naming a bad file."""
    strata: dict[str, Stratum] = {}
    for case in cases:
        if case.patient_id not in strata:
            strata[case.patient_id] = (case.field_strength_t(), case.region().lower())
    return strata


def deal_patients(strata: Mapping[str, Stratum], seed: int = 0) -> Folds:
    """Deal patients to folds like cards, one stratum after the other.

    Folds differ by at most one patient, in total and within every stratum. There are five, or as many as patients
    where those are fewer.

    Raises:
        InputError: fewer than two patients; nothing could be held out.
    """
    if len(strata) < 2:
        raise InputError(f"folds: expected at least two labelled patients, found {len(strata)}")
    rng = np.random.default_rng(seed)
    folds: list[list[str]] = [[] for _ in range(min(FOLDS, len(strata)))]
    position = 0
    for stratum in sorted(set(strata.values())):
        patients = sorted(patient for patient, found in strata.items() if found == stratum)
        for index in rng.permutation(len(patients)):
            folds[position % len(folds)].append(patients[index])
            position += 1
    return tuple(tuple(sorted(fold)) for fold in folds)


def fold_of(folds: Folds, patient: str) -> int:
    """The fold that holds a patient out."""
    return next(number for number, held_out in enumerate(folds) if patient in held_out)


def splits_of(folds: Folds, patient_of: Mapping[str, str]) -> list[dict[str, list[str]]]:
    """nnU-Net's splits_final.json: for each fold the samples to train on and to validate on.

    Args:
        patient_of: patient by sample.
    """
    return [
        {
            "train": sorted(sample for sample, patient in patient_of.items() if patient not in held_out),
            "val": sorted(sample for sample, patient in patient_of.items() if patient in held_out),
        }
        for held_out in folds
    ]


def check_splits(path: Path, splits: Any, patient_of: Mapping[str, str]) -> None:
    """Raise InputError where splits are not nnU-Net's, name an unknown sample, or have a patient on both sides."""
    if not isinstance(splits, list) or not all(isinstance(split, dict) for split in splits):
        raise InputError(f"{path}: expected a list of folds with train and val, found something else")
    for number, split in enumerate(splits):
        sides = []
        for side in ("train", "val"):
            samples = split.get(side)
            if not isinstance(samples, list) or not samples:
                raise InputError(f"{path}: expected fold {number} to have samples in {side}, found none")
            unknown = next((sample for sample in samples if sample not in patient_of), None)
            if unknown is not None:
                raise InputError(f"{path}: expected samples of this dataset, found {unknown} in fold {number}")
            sides.append({patient_of[sample] for sample in samples})
        both = sorted(sides[0] & sides[1])
        if both:
            raise InputError(
                f"{path}: expected each patient on one side, found {both[0]} in train and val of fold {number}"
            )


def link_folds(root: Path, folds: Folds, cases: Iterable[CaseFiles]) -> None:
    """Make `root`/fold_<n>/train and held-out, datasets of links to the patients: what to fine-tune each tracker on.

    Raises:
        InputError: `root` is there already; links to other patients would stay in it.
    """
    if root.exists():
        raise InputError(f"{root}: expected a new folder for the links, found one that is there already")
    for case in cases:
        for number, held_out in enumerate(folds):
            link = root / f"fold_{number}" / ("held-out" if case.patient_id in held_out else "train") / case.patient_id
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(case.folder.absolute(), target_is_directory=True)


def write_folds(path: Path, folds: Folds) -> None:
    """Write folds as json: {"held_out": [[patient, ...], ...]}."""
    write_text_atomically(path, json.dumps({"held_out": folds}, indent=1) + "\n")


def read_folds(path: Path, patients: Sequence[str] | set[str]) -> Folds:
    """Read folds and check that they hold out each of `patients` once.

    Patients in the file beyond these are dropped: the folds may come from a larger dataset.

    Raises:
        InputError: no such file, another content, a patient missing or held out twice, or a fold left empty.
    """
    content = read_json(path)
    held_out = content.get("held_out") if isinstance(content, dict) else None
    if not isinstance(held_out, list) or not all(
        isinstance(fold, list) and all(isinstance(patient, str) for patient in fold) for fold in held_out
    ):
        raise InputError(f'{path}: expected {{"held_out": [[patient, ...], ...]}}, found something else')
    named = [patient for fold in held_out for patient in fold]
    twice = next((patient for patient in named if named.count(patient) > 1), None)
    if twice is not None:
        raise InputError(f"{path}: expected each patient in one fold, found {twice} twice")
    missing = sorted(set(patients) - set(named))
    if missing:
        raise InputError(f"{path}: expected a fold for every labelled patient, found none for {', '.join(missing[:5])}")
    folds = tuple(tuple(sorted(set(fold) & set(patients))) for fold in held_out)
    empty = next((number for number, fold in enumerate(folds) if not fold), None)
    if len(folds) < 2 or empty is not None:
        found = f"fold {empty} without any" if empty is not None else f"{len(folds)} folds"
        raise InputError(f"{path}: expected two or more folds with patients of this dataset, found {found}")
    return folds
