"""CineTrack: causal tumour tracking in the cine-MR of MR-linacs.

The names below are all that most programs need. Each is imported on first use, so that `import cinetrack` takes a
moment and loads neither torch nor nnU-Net.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cinetrack.errors import BundleError as BundleError
    from cinetrack.errors import EmptyMaskError as EmptyMaskError
    from cinetrack.errors import InputError as InputError
    from cinetrack.evaluation.evaluate_case import evaluate_case as evaluate_case
    from cinetrack.pipeline.model import Model as Model
    from cinetrack.pipeline.model import load_model as load_model
    from cinetrack.sequence import CineSequence as CineSequence
    from cinetrack.sequence import TrackingCase as TrackingCase
    from cinetrack.sequence import find_cases as find_cases
    from cinetrack.sequence.read_case import read_case as read_case
    from cinetrack.tracking import BoxPrompt as BoxPrompt
    from cinetrack.tracking import MaskPrompt as MaskPrompt
    from cinetrack.tracking import PointPrompt as PointPrompt
    from cinetrack.tracking import StepResult as StepResult
    from cinetrack.tracking import TrackingSession as TrackingSession

__version__ = "0.2.0.dev0"  # the one place: pyproject.toml reads it from here

# Name -> module. A name is also in the block above, for type checkers; tests/test_public_names.py compares the two.
_MODULES = {
    "BoxPrompt": "cinetrack.tracking",
    "BundleError": "cinetrack.errors",
    "CineSequence": "cinetrack.sequence",
    "EmptyMaskError": "cinetrack.errors",
    "InputError": "cinetrack.errors",
    "MaskPrompt": "cinetrack.tracking",
    "Model": "cinetrack.pipeline.model",
    "PointPrompt": "cinetrack.tracking",
    "StepResult": "cinetrack.tracking",
    "TrackingCase": "cinetrack.sequence",
    "TrackingSession": "cinetrack.tracking",
    "evaluate_case": "cinetrack.evaluation.evaluate_case",
    "find_cases": "cinetrack.sequence",
    "load_model": "cinetrack.pipeline.model",
    "read_case": "cinetrack.sequence.read_case",
}

__all__ = ["__version__", *_MODULES]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
