"""`patients.json` beside a fold's checkpoints: whom it was trained on, whatever becomes of the splits later."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from cinetrack.errors import InputError
from cinetrack.sequence.atomic_write import write_text_atomically
from cinetrack.sequence.json_files import read_json

FILE_NAME = "patients.json"


def write_trained_patients(fold_folder: Path, patients: Iterable[str]) -> None:
    """Note the patients that a fold is trained on."""
    document = {"trained_on": sorted(set(patients))}
    write_text_atomically(fold_folder / FILE_NAME, json.dumps(document, indent=1) + "\n")


def trained_patients(fold_folder: Path) -> set[str]:
    """The patients that a fold was trained on. Raises InputError where the file is missing or of another content."""
    path = fold_folder / FILE_NAME
    content = read_json(path)
    patients = content.get("trained_on") if isinstance(content, dict) else None
    if not isinstance(patients, list) or not all(isinstance(patient, str) for patient in patients):
        raise InputError(f'{path}: expected {{"trained_on": [patient, ...]}}, found something else')
    return set(patients)


def check_unseen(
    fold_folder: Path, held_out: Iterable[str], remedy: str = "the folds have changed since, train it again"
) -> None:
    """Raise InputError, with what to do about it, where a fold was trained on a patient that it is to be judged on."""
    seen = sorted(trained_patients(fold_folder) & set(held_out))
    if seen:
        raise InputError(
            f"{fold_folder}: expected a model that has not seen the patients its fold holds out, found {seen[0]} among "
            f"those it was trained on; {remedy}"
        )
