"""The packages of the extra `clinic`, imported when a file needs them and not before."""

from __future__ import annotations

import importlib
from types import ModuleType

from cinetrack.errors import InputError

# What is imported -> what is installed.
DISTRIBUTIONS = {"pydicom": "pydicom", "highdicom": "highdicom", "nibabel": "nibabel", "nrrd": "pynrrd", "av": "av"}


def clinic_package(module: str, purpose: str) -> ModuleType:
    """Import `module`; `purpose` says for what, as in "to read DICOM".

    Raises:
        InputError: it is not installed; the message names the extra.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        name = module.partition(".")[0]
        if error.name != name:
            raise
        raise InputError(
            f"{purpose}: expected the package {DISTRIBUTIONS[name]}, found none; "
            "install it with pip install 'cinetrack[clinic]'"
        ) from None
