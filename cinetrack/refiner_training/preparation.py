"""Track labelled cases with every tracker, each model loaded once; one bad case does not stop the rest."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cinetrack.bundle import Bundle
from cinetrack.errors import InputError
from cinetrack.pipeline.model import Model, load_model
from cinetrack.pipeline.predict_dataset import Failure
from cinetrack.pipeline.shard import Shard, this_shard
from cinetrack.refiner_training.mask_sources import MaskSource
from cinetrack.refiner_training.patient_folds import Folds
from cinetrack.refiner_training.raw_dataset import MaskSettings, is_prepared, prepare_case
from cinetrack.sequence import CaseFiles

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """A case to track, and the bundle that has not seen its patient."""

    case: CaseFiles
    source: MaskSource
    bundle: Bundle

    @property
    def name(self) -> str:
        return f"{self.case.case_id} ({self.source.name})"


def jobs_of(cases: Sequence[CaseFiles], sources: Sequence[MaskSource], folds: Folds) -> list[Job]:
    """Every case with every source, those of one bundle together."""
    return [
        Job(case, source, bundle)
        for source in sources
        for bundle in source.bundles
        for case in cases
        if source.bundle_for(case.patient_id, folds) is bundle
    ]


def do_jobs(
    jobs: Sequence[Job], raw: Path, settings: MaskSettings, device: str = "auto", overwrite: bool = False
) -> Iterator[tuple[Job, Failure | None]]:
    """Do what is not done yet; yields each job when it is done, with why it failed where it did.

    Raises:
        InputError: there are masks of another bundle or perturbation, or a bundle cannot be loaded.
    """
    done = [
        not overwrite and is_prepared(raw, job.case, job.source, job.bundle.fingerprint, settings) for job in jobs
    ]  # all of them first: what must not mix is found before hours of tracking
    model: Model | None = None
    for job, is_done in zip(jobs, done):
        if is_done:
            yield job, None
            continue
        if model is None or model.bundle is not job.bundle:
            unrefined = load_model(replace(job.bundle, refiner=None), device)
            model = replace(unrefined, bundle=job.bundle)
        try:
            prepare_case(raw, job.case, job.source, model, settings)
            yield job, None
        except InputError as error:
            yield job, Failure(job.name, str(error), is_input=True)
        except Exception as error:
            logger.exception("%s: failed", job.name)
            yield job, Failure(job.name, f"{type(error).__name__}: {error}", is_input=False)


def shard_of(text: str | None) -> Shard:
    """The share named as I/N, counted from 0, else torchrun's or srun's.

    Raises:
        InputError: not of that form, or I not below N.
    """
    if text is None:
        return this_shard()
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or int(match[1]) >= int(match[2]):
        raise InputError(f"--shard: expected I/N with I from 0 to N - 1, found {text}")
    return Shard(int(match[1]), int(match[2]))
