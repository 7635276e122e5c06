"""The errors a user can mend, told apart from our own bugs.

Commands turn an `InputError` into one line on stderr and exit code 2; anything else is a failure of ours
and exits with 1.
"""


class InputError(Exception):
    """Something given to us is unusable. The message names the file, what was expected and what was found."""


class BundleError(InputError):
    """A model bundle is incomplete, altered or not understood."""


class EmptyMaskError(InputError):
    """A mask has no foreground where at least one pixel is needed."""
