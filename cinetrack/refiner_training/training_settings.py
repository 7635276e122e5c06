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
from cinetrack.settings import Settings, setting

VARIABLE = "CINETRACK_REFINER_TRAINING"
FILE_NAME = "training_settings.json"
TRAINER = "nnUNetTrainerCineTrack"


@dataclass(frozen=True)
class TrainingSettings(Settings):
    """What may be set; the defaults are nnU-Net's and the paper's."""

    epochs: int = setting(1000, low=1, help="length of the training in epochs, over which the learning rate falls to 0")
    iterations: int = setting(250, low=1, unit="batches", help="training batches of each epoch")
    validation_iterations: int = setting(50, low=1, unit="batches", help="validation batches of each epoch")
    learning_rate: float = setting(1e-2, above=0, high=1, help="learning rate of SGD in the first epoch")
    foreground_share: float = setting(
        0.33,
        low=0,
        high=1,
        help="share of the patches, 0 to 1, that are sure to show the target; raise it where patches are much smaller "
        "than images, as the others are drawn anywhere",
    )
    elastic_probability: float = setting(0.2, low=0, high=1, help="share of the samples that are deformed elastically")
    # The paper gives the probability only. batchgeneratorsv2's own defaults, a scale down to 0 and at most 0.2 px,
    # move nothing; below a scale of 0.05 a displacement of pixels would fold the image.
    elastic_scale: tuple[float, ...] = setting(
        (0.05, 0.15), low=0, unit="patches", help="range of the deformation's smoothness, as a fraction of the patch"
    )
    elastic_magnitude_px: tuple[float, ...] = setting(
        (0.0, 6.0), low=0, unit="px", help="range of the deformation's greatest displacement"
    )
    validate: bool = setting(
        False,
        help="run nnU-Net's own validation of every sample at the end; `cinetrack refiner crossvalidate` judges whole "
        "sequences instead",
    )
    pretrained: str | None = setting(
        None, help="checkpoint of nnU-Net whose weights, but for the heads, training starts from"
    )

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
        except (TypeError, InputError) as error:
            raise InputError(f"{path}: expected training settings, found something else ({error})") from None

    @classmethod
    def _of(cls, values: dict[str, Any]) -> TrainingSettings:
        ranges = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
        return cls(**{**values, **ranges})
