"""Which bundle to run: the one asked for, the one the platform mounted, or the one that came with the code."""

from __future__ import annotations

from pathlib import Path

from cinetrack.bundle.manifest import MANIFEST_NAME, Bundle, open_bundle
from cinetrack.errors import BundleError

PLATFORM_FOLDER = Path("/opt/ml/model")  # where Grand-Challenge unpacks an uploaded model
DEFAULT_FOLDER = Path(__file__).resolve().parents[2] / "resources" / "default"


def find_bundle(asked_for: Path | None = None) -> Bundle:
    """Open `asked_for` where given, else the platform's folder where it holds a bundle, else the shipped default.

    Raises:
        BundleError: as `open_bundle`; a folder that was found is not passed over for being faulty.
    """
    if asked_for is not None:
        return open_bundle(asked_for)
    for folder in (PLATFORM_FOLDER, DEFAULT_FOLDER):
        if (folder / MANIFEST_NAME).exists():
            return open_bundle(folder)
    raise BundleError(f"{DEFAULT_FOLDER}: expected the default bundle, found none; name one with --model")
