"""Which patients are trained on and which are held out. Never by frame: frames of one patient are alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cinetrack.errors import InputError
from cinetrack.finetuning.training_case import TrainingCase
from cinetrack.sequence import CaseFiles, find_cases
from cinetrack.sequence.trackrad_dataset import check_each_once


@dataclass(frozen=True)
class PatientSplit:
    """Patients to train on and to validate with, and the folders of the latter."""

    training: tuple[str, ...]
    validation: tuple[str, ...]
    validation_folders: tuple[Path, ...]


def split_patients(
    cases: Sequence[TrainingCase],
    folders: Sequence[Path],
    validation_folders: Sequence[Path],
    validation_share: float,
    seed: int,
) -> PatientSplit:
    """Hold patients out for validation.

    Args:
        cases: what can be trained on.
        folders: the datasets they come from.
        validation_folders: labelled datasets to validate with, and never to train on; where there are none, a share of
            the patients with labels of every frame is held out.
        validation_share: at least one patient where it is not 0 and more than one has labels; 0 for no validation.
    Raises:
        InputError: no labelled case to validate with, one of them twice, or none is left to train on.
    """
    if not 0 <= validation_share < 1:
        raise InputError(f"validation share: expected 0 or more and less than 1, found {validation_share}")
    patients = sorted({case.case.patient_id for case in cases})
    if validation_folders:
        found = held_out_cases(validation_folders, None)
        check_each_once(found)  # scores are kept by case id
        held_out = {case.patient_id for case in found}
        if not held_out:
            listed = ", ".join(map(str, validation_folders))
            raise InputError(f"{listed}: expected a case with labels of every frame to validate with, found none")
    else:
        # Without a first-frame mask there is nothing to begin tracking with.
        drawn = (case.case for case in cases if not case.is_pseudo_labelled)
        labelled = sorted({case.patient_id for case in drawn if case.first_label_path is not None})
        count = min(max(1, round(validation_share * len(labelled))), len(labelled) - 1) if validation_share else 0
        order = np.random.default_rng(seed).permutation(len(labelled))
        held_out = {labelled[index] for index in order[: max(count, 0)]}
    training = tuple(patient for patient in patients if patient not in held_out)
    if cases and not training:
        raise InputError(
            f"{', '.join(map(str, folders))}: expected patients to train on that are not for validation, found none"
        )
    return PatientSplit(training, tuple(sorted(held_out)), tuple(validation_folders or folders))


def held_out_cases(folders: Sequence[Path], patients: Sequence[str] | None) -> list[CaseFiles]:
    """Cases with labels of every frame and a prompt; of the named patients, or of all."""
    return [
        case
        for folder in folders
        for case in find_cases(folder)
        if case.labels_path is not None
        and case.first_label_path is not None
        and (patients is None or case.patient_id in patients)
    ]
