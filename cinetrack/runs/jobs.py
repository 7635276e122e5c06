"""The loop over cases: what is done already is passed over, and one bad case does not stop the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from cinetrack.errors import InputError
from cinetrack.runs.failure import Failure, failure_of
from cinetrack.runs.progress import Progress

if TYPE_CHECKING:
    from cinetrack.pipeline.model import Model

OnFrame = Callable[[int, int], None]  # told the frames done and the frames in total


class OtherModelError(InputError):
    """An output holds results of another model or of other settings; they must not mix in one folder."""


class CaseJob(Protocol):
    """What is to be done with a case. Its output says, by fingerprint, whether that is done."""

    @property
    def name(self) -> str:
        """The case, and what else tells the job from others."""

    def is_done(self) -> bool:
        """Whether the output is there, whole and by the same model. Raises OtherModelError where it is by another."""

    def do(self, model: Model, on_frame: OnFrame) -> None:
        """Do it; what marks it as done is written last. Raises InputError where the case is unusable."""


Job = TypeVar("Job", bound=CaseJob)


def unfinished(jobs: Sequence[Job], overwrite: bool = False) -> list[Job]:
    """The jobs that are not done yet; with `overwrite` all.

    Raises:
        OtherModelError: one is done by another model. It is found here, before hours of work and before models load.
    """
    return [job for job in jobs if overwrite or not job.is_done()]


def run_jobs(
    jobs: Sequence[CaseJob], model: Model, progress: Progress, before: int = 0, after: int = 0
) -> list[Failure]:
    """Do jobs one after the other; returns those that failed.

    Args:
        before, after: how many jobs of the same progress were done before these and come after them.
    """
    failures = []
    total = before + len(jobs) + after
    for done, job in enumerate(jobs, before):

        def on_frame(frame: int, frames: int, done: int = done, name: str = job.name) -> None:
            progress(done, total, f"{name} frame {frame}/{frames}")

        progress(done, total, job.name)
        try:
            job.do(model, on_frame)
        except Exception as error:
            failures.append(failure_of(job.name, error))
    progress(before + len(jobs), total)
    return failures
