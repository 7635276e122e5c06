"""What a command tells its user beside its result: lines on stderr, fewer with --quiet."""

from __future__ import annotations

import logging
import sys

_LOGGER = logging.getLogger("cinetrack")


def set_verbosity(verbose: bool, quiet: bool) -> None:
    """Let the package's log and `note` say more or less; without either flag, as much as INFO."""
    _LOGGER.setLevel(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)


def note(text: str) -> None:
    """Print a line for the user, unless --quiet was given."""
    if _LOGGER.isEnabledFor(logging.INFO):
        print(text, file=sys.stderr)
