"""Track labelled cases with every tracker, each model loaded once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cinetrack.bundle import Bundle
from cinetrack.bundle.manifest import WEIGHTLESS, Method
from cinetrack.pipeline.model import Model, load_model
from cinetrack.refiner_training.mask_sources import MaskSource
from cinetrack.refiner_training.patient_folds import Folds
from cinetrack.refiner_training.raw_dataset import is_prepared, prepare_case
from cinetrack.refiner_training.sample_settings import MaskSettings
from cinetrack.runs.failure import Failure
from cinetrack.runs.jobs import OnFrame, run_jobs, unfinished
from cinetrack.runs.progress import Progress
from cinetrack.sequence import CaseFiles


@dataclass(frozen=True)
class PreparationJob:
    """A case to track, and the bundle that has not seen its patient."""

    case: CaseFiles
    source: MaskSource
    bundle: Bundle
    raw: Path
    settings: MaskSettings

    @property
    def name(self) -> str:
        """The case and the tracker."""
        return f"{self.case.case_id} ({self.source.name})"

    def is_done(self) -> bool:
        """Whether the masks of this very tracker are there, perturbed and biased as wanted."""
        return is_prepared(self.raw, self.case, self.source, self.bundle.fingerprint, self.settings)

    def do(self, model: Model, on_frame: OnFrame) -> None:
        """Track and write."""
        prepare_case(self.raw, self.case, self.source, model, self.settings)


def jobs_of(
    cases: Sequence[CaseFiles], sources: Sequence[MaskSource], folds: Folds, raw: Path, settings: MaskSettings
) -> list[PreparationJob]:
    """Every case with every source, those of one bundle together."""
    return [
        PreparationJob(case, source, bundle, raw, settings)
        for source in sources
        for bundle in source.bundles
        for case in cases
        if source.bundle_for(case.patient_id, folds) is bundle
    ]


def prepare(
    jobs: Sequence[PreparationJob], progress: Progress, device: str = "auto", overwrite: bool = False
) -> list[Failure]:
    """Do what is not done yet; returns what failed.

    Raises:
        OtherModelError: there are masks of another bundle or perturbation.
        InputError: a bundle cannot be loaded.
    """
    pending = unfinished(jobs, overwrite)
    failures: list[Failure] = []
    done = 0
    for bundle in {id(job.bundle): job.bundle for job in pending}.values():
        model = load_model(bundle, device, _shown_by(bundle, pending[0].settings))
        of_bundle = [job for job in pending if job.bundle is bundle]
        failures += run_jobs(of_bundle, model, progress, done, len(pending) - done - len(of_bundle))
        done += len(of_bundle)
    return failures


def _shown_by(bundle: Bundle, settings: MaskSettings) -> Method:
    """What makes the masks that an nnU-Net is taught on."""
    if settings.region_px is not None:  # as a source it is shown the outline, which no network makes
        return WEIGHTLESS["static"]
    return replace(bundle.method.tracker(), postprocessing=())  # the tracker's, holes and all
