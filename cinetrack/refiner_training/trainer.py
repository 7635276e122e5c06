"""nnU-Net's trainer with elastic deformation on top, lengths that can be set, and one line an epoch.

Everything else is nnU-Net's: Dice and cross-entropy 1:1, SGD with Nesterov momentum 0.99, learning rate 1e-2 with
polynomial decay, deep supervision, its augmentation.
"""

from __future__ import annotations

import sys
from pathlib import Path
from time import time
from typing import Any

import numpy as np
import torch

from cinetrack.bundle.checkpoint_file import checkpoint_file
from cinetrack.bundle.finite_weights import check_weights
from cinetrack.bundle.safe_weights import code_refused
from cinetrack.errors import InputError
from cinetrack.refiner_training.dataset_folders import patients_of, read_samples
from cinetrack.refiner_training.nnunet import SpatialTransform, nnUNetTrainer
from cinetrack.refiner_training.pretrained import pretraining_patients
from cinetrack.refiner_training.trained_patients import write_trained_patients
from cinetrack.refiner_training.training_settings import TrainingSettings

# The scale halves with each: from nnU-Net's first one, 65536, to 1 in sixteen steps.
MOST_SKIPPED_STEPS = 20


class nnUNetTrainerCineTrack(nnUNetTrainer):  # nnU-Net names the results' folder after the class
    """Trains as `TrainingSettings.from_environment` says."""

    def __init__(
        self,
        plans: dict[str, Any],
        configuration: str,
        fold: int,
        dataset_json: dict[str, Any],
        device: torch.device = torch.device("cuda"),
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        settings = TrainingSettings.from_environment()
        self.num_epochs = settings.epochs
        self.num_iterations_per_epoch = settings.iterations
        self.num_val_iterations_per_epoch = settings.validation_iterations
        self.initial_lr = settings.learning_rate
        self.oversample_foreground_percent = settings.foreground_share
        self.save_every = settings.save_every
        self._without_loss = 0  # training steps one after the other
        self._validates = settings.validate
        self._pretrained = settings.pretrained
        self._began: tuple[int, float] | None = None  # first epoch of this run, and when

    @staticmethod
    def get_training_transforms(*args: Any, **kwargs: Any) -> Any:
        """nnU-Net's own, the spatial one deforming as well."""
        settings = TrainingSettings.from_environment()
        composed = nnUNetTrainer.get_training_transforms(*args, **kwargs)
        (spatial,) = [transform for transform in composed.transforms if isinstance(transform, SpatialTransform)]
        spatial.p_elastic_deform = settings.elastic_probability
        spatial.elastic_deform_scale = settings.elastic_scale
        spatial.elastic_deform_magnitude = settings.elastic_magnitude_px
        return composed

    def print_to_log_file(self, *args: Any, also_print_to_console: bool = True, add_timestamp: bool = True) -> None:
        """To the log file only: several folds may share a terminal, and each has its line an epoch there."""
        super().print_to_log_file(*args, also_print_to_console=False, add_timestamp=add_timestamp)

    def on_train_start(self) -> None:
        super().on_train_start()
        if self.local_rank == 0:
            patient_of = patients_of(read_samples(Path(self.preprocessed_dataset_folder_base)))
            trained_on, _ = self.do_split()
            patients = {patient_of[sample] for sample in trained_on}
            if self._pretrained is not None:
                patients |= pretraining_patients(Path(self._pretrained))
            write_trained_patients(Path(self.output_folder), patients)

    def save_checkpoint(self, filename: str) -> None:
        """Under another name first: a run that is killed while it writes goes on from the checkpoint before."""
        if self.local_rank != 0 or self.disable_checkpointing:
            return
        check_weights(self.network.state_dict(), Path(filename))
        with checkpoint_file(Path(filename)) as file:
            super().save_checkpoint(file)  # nnU-Net hands it on to torch.save, which takes an open file as well

    def load_checkpoint(self, filename_or_checkpoint: Any) -> None:
        """nnU-Net's, whose torch.load would otherwise run whatever code the file carries."""
        with code_refused():
            super().load_checkpoint(filename_or_checkpoint)

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """nnU-Net's; a loss that is no number ends the training, as no later one would be."""
        outcome = super().train_step(batch)
        if np.isfinite(outcome["loss"]).all():
            self._without_loss = 0
            return outcome
        # A gradient scaler skips such a step and lowers its scale; without one the weights are NaN from here on.
        self._without_loss += 1
        if self.grad_scaler is None or self._without_loss >= MOST_SKIPPED_STEPS:
            raise self._diverged("training", outcome["loss"])
        return outcome

    def on_train_epoch_end(self, train_outputs: list[dict[str, Any]]) -> None:
        """nnU-Net's, whose mean is that of the steps that were not skipped."""
        taken = [output for output in train_outputs if np.isfinite(output["loss"]).all()]
        if not taken:
            raise self._diverged("training", train_outputs[-1]["loss"])
        super().on_train_epoch_end(train_outputs if self.is_ddp else taken)  # its processes count on equal numbers

    def on_validation_epoch_end(self, val_outputs: list[dict[str, Any]]) -> None:
        """nnU-Net's; a validation loss that is no number ends the training as well."""
        super().on_validation_epoch_end(val_outputs)
        loss = self.logger.get_value("val_losses", step=-1)
        if not np.isfinite(loss):
            raise self._diverged("validation", loss)

    def _diverged(self, kind: str, loss: Any) -> InputError:
        return InputError(
            f"{self.output_folder}: expected a finite loss, found a {kind} loss of {float(np.mean(loss))} in epoch "
            f"{self.current_epoch + 1}; lower --lr, or plan another network"
        )

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """nnU-Net's prediction of every validation sample, where asked for."""
        if self._validates:
            super().perform_actual_validation(save_probabilities)

    def on_epoch_start(self) -> None:
        self._began = self._began or (self.current_epoch, time())
        super().on_epoch_start()

    def on_epoch_end(self) -> None:
        super().on_epoch_end()  # counts the epoch
        if self.local_rank == 0:
            print(self.progress_line(), file=sys.stderr, flush=True)

    def progress_line(self) -> str:
        """The epoch just ended: losses, pseudo-Dice (of nnU-Net's validation batches), and the time left."""
        assert self._began is not None  # an epoch has ended, so one has begun
        first, began = self._began
        seconds = (time() - began) / (self.current_epoch - first)
        value = {key: self.logger.get_value(key, step=-1) for key in ("train_losses", "val_losses", "mean_fg_dice")}
        return (
            f"fold {self.fold} epoch {self.current_epoch}/{self.num_epochs}: loss {value['train_losses']:.4f}, "
            f"validation {value['val_losses']:.4f}, pseudo-Dice {value['mean_fg_dice']:.4f} "
            f"(best average {self._best_ema:.4f}), {seconds:.1f} s an epoch, "
            f"{_clock(seconds * (self.num_epochs - self.current_epoch))} left"
        )


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
