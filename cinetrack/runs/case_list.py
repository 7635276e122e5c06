"""The cases of a dataset of which some cannot even be listed: those are failures, the others are found."""

from __future__ import annotations

from pathlib import Path

from cinetrack.errors import InputError
from cinetrack.runs.failure import Failure
from cinetrack.sequence.trackrad_dataset import CaseFiles, cases_of_patient, find_cases, is_patient


def find_readable_cases(root: Path) -> tuple[list[CaseFiles], list[Failure]]:
    """The series below a dataset folder, or of a single patient's folder, as `find_cases` has them.

    Returns:
        The series, and a failure for every patient whose folder cannot be read or is not understood.
    Raises:
        InputError: `root` is missing or cannot be read, or holds no patient.
    """
    try:
        if not root.is_dir() or is_patient(root):
            return find_cases(root), []
        folders = sorted(root.iterdir())
    except OSError as error:
        raise InputError(f"{root}: expected a folder that can be read, found {error.strerror or error}") from None
    cases: list[CaseFiles] = []
    failures: list[Failure] = []
    for folder in folders:
        try:
            cases += cases_of_patient(folder) if folder.is_dir() and is_patient(folder) else []
        except InputError as error:
            failures.append(Failure(folder.name, str(error)))
        except OSError as error:
            reason = f"{folder}: expected a patient's folder that can be read, found {error.strerror or error}"
            failures.append(Failure(folder.name, reason))
    return (cases, failures) if cases or failures else (find_cases(root), [])
