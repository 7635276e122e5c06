"""Which model bundle to run: the one asked for, the one the platform mounted, or the shipped default."""

from __future__ import annotations

from pathlib import Path

from cinetrack.bundle.manifest import MANIFEST_NAME, Bundle, open_bundle
from cinetrack.errors import BundleError

PLATFORM_FOLDER = Path("/opt/ml/model")  # where Grand-Challenge unpacks an uploaded model

_PACKAGE = Path(__file__).resolve().parents[1]
_INSTALLED = _PACKAGE / "resources"  # in an installed wheel (see setup.py)
SHIPPED_FOLDER = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent / "resources"
DEFAULT_FOLDER = SHIPPED_FOLDER / "default"


def shipped_names() -> list[str]:
    """Names of the bundles that came with the code, in alphabetical order.

    >>> shipped_names()
    ['default', 'registration', 'static']
    """
    return sorted(path.parent.name for path in SHIPPED_FOLDER.glob(f"*/{MANIFEST_NAME}"))


def bundled(name: str) -> Path:
    """The folder of a bundle that came with the code, in a clone and in an installed wheel alike.

    >>> bundled("registration").name
    'registration'

    Raises:
        BundleError: none has this name.
    """
    if name not in shipped_names():
        raise BundleError(f"{name}: expected one of the shipped bundles {', '.join(shipped_names())}, found none")
    return SHIPPED_FOLDER / name


def bundle_folder(name_or_folder: Path | str) -> Path:
    """The folder that a user means: a folder with a bundle in it, else the shipped bundle of that name.

    Raises:
        BundleError: a single word that is neither a folder nor the name of a shipped bundle.
    """
    folder, name = Path(name_or_folder), str(name_or_folder)
    if (folder / MANIFEST_NAME).exists():
        return folder
    if name in shipped_names():
        return bundled(name)
    if folder.name == name and not folder.exists():
        raise BundleError(
            f"{name}: expected a model bundle's folder or one of {', '.join(shipped_names())}, found neither"
        )
    return folder


def find_bundle(asked_for: Path | str | None = None) -> Bundle:
    """Open `asked_for` where given, else the platform's folder where it holds a bundle, else the shipped default.

    Args:
        asked_for: a bundle's folder, or the name of one that came with the code: "default", "registration", "static".
    Raises:
        BundleError: as `open_bundle`; a folder that was found is not passed over for being faulty.
    """
    if asked_for is not None:
        return open_bundle(bundle_folder(asked_for))
    for folder in (PLATFORM_FOLDER, DEFAULT_FOLDER):
        if (folder / MANIFEST_NAME).exists():
            return open_bundle(folder)
    raise BundleError(f"{DEFAULT_FOLDER}: expected the default bundle, found none; name one with --model")
