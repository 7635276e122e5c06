"""How long and with which augmentation nnU-Net trains. By default as the paper: nnU-Net's own, and elastic deformation.

nnU-Net makes its trainer itself, also in processes that it starts, with no room for arguments of ours: the settings
travel in an environment variable. They are kept beside the checkpoints, so that a run goes on as it began.
"""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cinetrack.errors import InputError
from cinetrack.sequence.atomic_write import write_text_atomically
from cinetrack.sequence.json_files import read_json

VARIABLE = "CINETRACK_REFINER_TRAINING"
FILE_NAME = "training_settings.json"
TRAINER = "nnUNetTrainerCineTrack"


@dataclass(frozen=True)
class TrainingSettings:
    """What may be set; the defaults are nnU-Net's and the paper's.

    Attributes:
        epochs: the learning rate falls to 0 over them.
        iterations, validation_iterations: batches in an epoch.
        learning_rate: of SGD in the first epoch.
        foreground_share: of the patches, those that are sure to show the target. Others are drawn anywhere, and where
            patches are much smaller than images they show none.
        elastic_probability: share of the samples that are deformed elastically.
        elastic_scale: range of the deformation's smoothness, as a fraction of the patch.
        elastic_magnitude_px: range of its greatest displacement.
        validate: let nnU-Net predict every validation sample at the end. `cinetrack refiner crossvalidate` predicts
            whole sequences instead, so by default this is left out.
        pretrained: checkpoint of nnU-Net whose weights, but for the heads, training starts from; None for fresh ones.
    """

    epochs: int = 1000
    iterations: int = 250
    validation_iterations: int = 50
    learning_rate: float = 1e-2
    foreground_share: float = 0.33
    elastic_probability: float = 0.2
    # The paper gives the probability only. batchgeneratorsv2's own defaults, a scale down to 0 and at most 0.2 px,
    # move nothing; below a scale of 0.05 a displacement of pixels would fold the image.
    elastic_scale: tuple[float, float] = (0.05, 0.15)
    elastic_magnitude_px: tuple[float, float] = (0.0, 6.0)
    validate: bool = False
    pretrained: str | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "iterations", "validation_iterations"):
            if getattr(self, name) < 1:
                raise InputError(f"--{name.replace('_', '-')}: expected 1 or more, found {getattr(self, name)}")
        if not 0 < self.learning_rate < 1:
            raise InputError(f"--lr: expected a number between 0 and 1, found {self.learning_rate}")
        if not 0 <= self.foreground_share <= 1:
            raise InputError(f"--foreground-share: expected a share from 0 to 1, found {self.foreground_share}")
        if not 0 <= self.elastic_probability <= 1:
            raise InputError(f"elastic deformation: expected a probability, found {self.elastic_probability}")

    @property
    def save_every(self) -> int:
        """Epochs between checkpoints to go on from: nnU-Net's 50, or a twentieth of a shorter run."""
        return max(1, min(50, self.epochs // 20))

    def changed(self, **given: Any) -> TrainingSettings:
        """The same with what is given and not None."""
        return dataclasses.replace(self, **{key: value for key, value in given.items() if value is not None})

    def as_variable(self) -> dict[str, str]:
        """The environment variable that hands the settings to the trainer."""
        return {VARIABLE: json.dumps(dataclasses.asdict(self))}

    @classmethod
    def from_environment(cls) -> TrainingSettings:
        """The settings handed over; the defaults where there are none, as under nnUNetv2_train."""
        return cls._of(json.loads(os.environ.get(VARIABLE, "{}")))

    def save(self, fold_folder: Path) -> None:
        """Keep the settings beside a fold's checkpoints."""
        write_text_atomically(fold_folder / FILE_NAME, json.dumps(dataclasses.asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, fold_folder: Path) -> TrainingSettings | None:
        """The settings of an earlier run; None where there are none. Raises InputError for an unusable file."""
        path = fold_folder / FILE_NAME
        if not path.exists():
            return None
        try:
            return cls._of(read_json(path))
        except TypeError as error:
            raise InputError(f"{path}: expected training settings, found something else ({error})") from None

    @classmethod
    def _of(cls, values: dict[str, Any]) -> TrainingSettings:
        ranges = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
        return cls(**{**values, **ranges})
