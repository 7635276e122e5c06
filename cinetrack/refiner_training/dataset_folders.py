"""Where nnU-Net keeps a dataset: raw, preprocessed and results, and what of it is ours.

<raw>/Dataset501_Refiner/
    frames/<case>/<frame>.png                8 bit, as the refiner is fed; stored once
    labels/<case>/<frame>.png                0 and 1, the truth
    masks/<tracker>/<case>/<frame>.png       0 and 1, the tracker's, perturbed where asked for
    tracked/<tracker>/<case>.mha             the tracker's, as they came
    tracked/<tracker>/<case>.json            written last: this case is done
    dataset.json, samples.json, folds.json, splits_final.json      written when every case is done
<preprocessed>/Dataset501_Refiner/           nnU-Net's plans and arrays; samples.json
<results>/Dataset501_Refiner/                nnU-Net's trained-model folders
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cinetrack.errors import InputError
from cinetrack.sequence.json_files import read_json

DATASET_ID = 501
EXTERNAL_TRAINERS = Path(__file__).resolve().parent / "external_trainers"


@dataclass(frozen=True)
class DatasetFolders:
    """nnU-Net's three root folders and the dataset's name in them."""

    raw_root: Path
    preprocessed_root: Path
    results_root: Path
    dataset_id: int = DATASET_ID

    @property
    def name(self) -> str:
        """As nnU-Net wants it: Dataset, three digits, a word."""
        return f"Dataset{self.dataset_id:03d}_Refiner"

    @property
    def raw(self) -> Path:
        return self.raw_root / self.name

    @property
    def preprocessed(self) -> Path:
        return self.preprocessed_root / self.name

    @property
    def results(self) -> Path:
        return self.results_root / self.name

    def environment(self) -> dict[str, str]:
        """The variables by which nnU-Net finds the folders and our trainer, also in processes that it starts."""
        return {
            "nnUNet_raw": str(self.raw_root.absolute()),
            "nnUNet_preprocessed": str(self.preprocessed_root.absolute()),
            "nnUNet_results": str(self.results_root.absolute()),
            "nnUNet_extTrainer": str(EXTERNAL_TRAINERS),
        }


def dataset_folders(
    raw_root: Path,
    preprocessed_root: Path | None = None,
    results_root: Path | None = None,
    dataset_id: int = DATASET_ID,
) -> DatasetFolders:
    """The folders below `raw_root`, and for the other two: what is given, else nnU-Net's environment variable, else
    nnUNet_preprocessed and nnUNet_results beside `raw_root`.

    Raises:
        InputError: the number is not one of three digits.
    """
    if not 1 <= dataset_id <= 999:
        raise InputError(f"dataset id: expected a number from 1 to 999, found {dataset_id}")

    def root(given: Path | None, name: str) -> Path:
        return given or Path(os.environ.get(name) or raw_root.absolute().parent / name)

    return DatasetFolders(
        raw_root, root(preprocessed_root, "nnUNet_preprocessed"), root(results_root, "nnUNet_results"), dataset_id
    )


@contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables for the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def read_samples(folder: Path) -> dict[str, dict[str, Any]]:
    """samples.json of a raw or preprocessed dataset: for each sample its patient, case, tracker and frame.

    Raises:
        InputError: the file is missing or of another content.
    """
    path = folder / "samples.json"
    if not path.exists():
        raise InputError(f"{path}: expected a dataset of `cinetrack refiner prepare`, all cases done, found none")
    content = read_json(path)
    if not isinstance(content, dict) or not all(
        isinstance(sample, dict) and {"patient", "case", "tracker", "frame"} <= sample.keys()
        for sample in content.values()
    ):
        raise InputError(f"{path}: expected patient, case, tracker and frame of each sample, found something else")
    return content


def patients_of(samples: dict[str, dict[str, Any]]) -> dict[str, str]:
    """The patient of each sample."""
    return {name: sample["patient"] for name, sample in samples.items()}
