"""nnU-Net's preprocessing of every sample of a dataset, in several processes.

Each sample is nnU-Net's to preprocess. Its own loop over them sends dataset.json along with every one; ours lists the
files of all samples there (`raw_dataset`), so that the time would grow with the square of their number.
"""

from __future__ import annotations

import shutil
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

from cinetrack.refiner_training.dataset_folders import DatasetFolders
from cinetrack.refiner_training.nnunet import DefaultPreprocessor, PlansManager
from cinetrack.runs.processes import process_pool
from cinetrack.runs.progress import Progress
from cinetrack.sequence.json_files import read_json


@dataclass(frozen=True)
class _Shared:
    """What all samples need: sent to a process once."""

    plans: PlansManager
    configuration: str
    dataset_json: dict[str, Any]


_shared: _Shared | None = None


def preprocess_dataset(folders: DatasetFolders, plans_name: str, configuration: str, processes: int) -> None:
    """Write nnU-Net's arrays of every sample of a planned dataset; what was there is replaced.

    Raises:
        RuntimeError: a process was killed.
    """
    plans = PlansManager(read_json(folders.preprocessed / f"{plans_name}.json"))
    dataset_json = read_json(folders.raw / "dataset.json")
    samples = dataset_json.pop("dataset")
    output = folders.preprocessed / plans.get_configuration(configuration).data_identifier
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    shared = _Shared(plans, configuration, dataset_json)
    with process_pool(processes, _share, (shared,)) as pool, Progress("sample") as progress:
        running = [
            pool.submit(
                _preprocess,
                str(output / name),
                [str((folders.raw / image).absolute()) for image in files["images"]],
                str((folders.raw / files["label"]).absolute()),
            )
            for name, files in samples.items()
        ]
        try:
            for number, done in enumerate(as_completed(running), 1):
                done.result()
                progress(number, len(running), "preprocessing")
        except BrokenProcessPool:
            raise RuntimeError(
                "preprocessing: a process was killed, most likely for want of memory; lower --workers"
            ) from None
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _share(shared: _Shared) -> None:
    global _shared
    _shared = shared


def _preprocess(target: str, images: list[str], label: str) -> None:
    """One sample, in a process that has what all share."""
    assert _shared is not None  # `_share` ran when this process began
    configuration = _shared.plans.get_configuration(_shared.configuration)
    DefaultPreprocessor(verbose=False).run_case_save(
        target, images, label, _shared.plans, configuration, _shared.dataset_json
    )
