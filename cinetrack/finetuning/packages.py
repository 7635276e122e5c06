"""Whether what SAM2's training package imports is installed; the rest of the library does without."""

from __future__ import annotations

from importlib.util import find_spec

from cinetrack.errors import InputError

# What the extra `train` adds. `training` itself comes with sam2, but without what it imports.
PACKAGES = ("tensordict", "tensorboard", "submitit", "fvcore", "pandas")


def check_packages() -> None:
    """Raise InputError where one of the packages is missing."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise InputError(
            f"fine-tuning: expected the extra packages of `pip install cinetrack[train]`, found no {', '.join(missing)}"
        )
