"""The errors a user can mend, told apart from our own bugs.

Commands turn an `InputError` into one line on stderr and exit code 2; anything else is a failure of ours
and exits with 1.
"""


class InputError(Exception):
    """Something given to us is unusable. The message names the file, what was expected and what was found.

    Examples:
        >>> import cinetrack
        >>> try:
        ...     cinetrack.read_case("no-such-folder")
        ... except cinetrack.InputError as error:
        ...     print(error)
        no-such-folder: expected a TrackRAD2025 dataset or patient folder, found none
    """


class BundleError(InputError):
    """A model bundle is incomplete, altered or not understood.

    Examples:
        >>> import cinetrack
        >>> try:
        ...     cinetrack.load_model("docs")
        ... except cinetrack.BundleError as error:
        ...     print(error)
        docs/bundle.json: expected a model bundle's manifest, found none
    """


class EmptyMaskError(InputError):
    """A mask has no foreground where at least one pixel is needed.

    Examples:
        >>> import cinetrack
        >>> import numpy as np
        >>> try:
        ...     cinetrack.MaskPrompt(np.zeros((4, 6), dtype=bool))
        ... except cinetrack.EmptyMaskError as error:
        ...     print(error)
        mask prompt: expected an outlined target, found no pixel set
    """
