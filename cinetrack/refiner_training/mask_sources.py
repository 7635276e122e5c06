"""Which tracker makes the masks of which patient.

The refiner must be taught on masks as the tracker makes them of patients it has not seen. A tracker that was trained
on none of the patients serves for all. Of one that was fine-tuned on them there must be as many as folds, each
fine-tuned without the patients that its fold holds out; each patient's masks then come from the one that did not see
the patient.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cinetrack.bundle import Bundle, find_bundle
from cinetrack.errors import InputError
from cinetrack.refiner_training.patient_folds import Folds, fold_of

OUT_OF_FOLD = "out-of-fold"  # the name of the trackers of the folds, taken together


@dataclass(frozen=True)
class MaskSource:
    """A tracker, or one a fold.

    Attributes:
        name: fit for a folder and a sample's name.
        bundles: one for all patients, or one for each fold in order.
    """

    name: str
    bundles: tuple[Bundle, ...]

    def bundle_for(self, patient: str, folds: Folds) -> Bundle:
        """The bundle whose tracker has not seen the patient."""
        return self.bundles[0] if len(self.bundles) == 1 else self.bundles[fold_of(folds, patient)]


def mask_sources(trackers: Sequence[Path], fold_trackers: Sequence[Path], folds: int) -> list[MaskSource]:
    """Open the bundles.

    Args:
        trackers: bundles that serve for every patient.
        fold_trackers: none, or one bundle a fold, in the folds' order.
        folds: number of folds.
    Raises:
        InputError: no bundle, two of one name, or another number of fold trackers than of folds.
        BundleError: a bundle is unusable.
    """
    sources = [MaskSource(_plain(bundle.name), (bundle,)) for bundle in map(find_bundle, trackers)]
    if fold_trackers:
        if len(fold_trackers) != folds:
            found = len(fold_trackers)
            raise InputError(f"--fold-model: expected one bundle for each of {folds} folds, found {found}")
        sources.append(MaskSource(OUT_OF_FOLD, tuple(map(find_bundle, fold_trackers))))
    if not sources:
        raise InputError("--model: expected at least one bundle, found none")
    names = [source.name for source in sources]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"--model: expected bundles of different names, found {twice} twice")
    return sources


def check_stabilised(sources: Sequence[MaskSource]) -> None:
    """Raise InputError, naming the bundle, where a tracker works on frames as they are: beside such a one no refiner
    can be a source."""
    for source in sources:
        for bundle in source.bundles:
            if bundle.method.stabilisation is None:
                raise InputError(
                    f"--region: expected trackers that stabilise frames, found {bundle.folder}, which does not"
                )


def _plain(name: str) -> str:
    """The bundle's name without what is awkward in a file's, and without the separator of samples' names."""
    return re.sub(r"_{2,}", "_", re.sub(r"[^\w.-]", "_", name))
