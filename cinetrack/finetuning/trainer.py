"""SAM2's trainer with what it lacks: the CPU, gradient accumulation, exact resumption, and our validation.

Follows `training.trainer.Trainer` of sam2 1.1.0, whose epoch loop, optimiser, schedules and losses run unchanged. What
is overridden, and why:
- `_run_step`: upstream opens CUDA's autocast whatever the device, and takes one batch a step.
- `_save_checkpoint`: upstream deletes the old file before it renames the new one; a kill between the two loses both.
- `save_checkpoint`, `load_checkpoint`: the run's folder holds last.pt, and best.pt by the paper's rule.
- `train_epoch`: generators start every epoch from seed and epoch, so that resuming repeats nothing and skips nothing.
- `run_val`: the streaming pipeline on held-out cases in place of the training loss on clips.
"""

from __future__ import annotations

import logging
import math
import os
import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
import training.trainer
from training.trainer import Trainer, unwrap_ddp_if_wrapped
from training.utils.distributed import barrier
from training.utils.train_utils import AverageMeter, MemMeter, get_amp_type

from cinetrack.bundle.checkpoint_file import save_checkpoint
from cinetrack.bundle.finite_weights import check_weights
from cinetrack.bundle.safe_weights import code_refused, load_network
from cinetrack.errors import InputError
from cinetrack.finetuning.run_log import RunLog
from cinetrack.finetuning.splits import held_out_cases
from cinetrack.finetuning.starting_point import starting_point
from cinetrack.finetuning.validation import Validation
from cinetrack.sequence.drafts import remove_dead_drafts

LAST, BEST = "last", "best"


class FineTuningTrainer(Trainer):
    """The trainer of a run.

    Args:
        accumulate: batches of one optimiser step.
        start: `init` and `config` of `starting_point`; not read where the run has a last.pt.
        validation: `folders` and `patients` of the held-out cases, the `config` and its folder that the pipeline
            builds the network from, the `region_px` that it tracks in, or None, and whether with `stabilise`.
        Everything else: as `training.trainer.Trainer`.
    """

    def __init__(
        self, *, accumulate: int, start: Mapping[str, Any], validation: Mapping[str, Any], **settings: Any
    ) -> None:
        self._accumulate = accumulate
        self._start = start
        self._seed = settings["seed_value"]
        run = Path(settings["checkpoint"]["save_dir"])
        self._log = RunLog(run, int(os.environ["RANK"]))
        cases = held_out_cases([Path(folder) for folder in validation["folders"]], validation["patients"])
        place = validation["config"], Path(validation["config_folder"])
        shown = {key: validation[key] for key in ("region_px", "stabilise")}
        self._validation = Validation(cases, *place, run, settings["accelerator"], **shown) if cases else None
        training.trainer.log_env_variables = _no_log  # upstream's writes the whole environment, passwords and all
        if settings["accelerator"] == "cpu":
            training.trainer.MemMeter = _NoMemory  # upstream's asks CUDA, and fails where there is none
        else:
            training.trainer.MemMeter = MemMeter
        super().__init__(**settings)

    def _setup_components(self) -> None:
        _send_to_stderr(logging.getLogger("training.trainer"))
        super()._setup_components()
        amp = self.optim_conf.amp
        # Only float16 is short of exponents; scaling a bfloat16 loss changes nothing but the rounding.
        scaled = amp.enabled and amp.amp_dtype == "float16"
        self.scaler = torch.amp.grad_scaler.GradScaler(self.device.type, enabled=scaled)

    def _setup_dataloaders(self) -> None:
        super()._setup_dataloaders()
        if not len(self.train_dataset.get_loader(epoch=0)):
            raise InputError("--batch-clips: expected a batch or more for every process an epoch, found none")

    def load_checkpoint(self) -> None:
        """From last.pt where the run has one, else from the weights to start from."""
        path = Path(self.checkpoint_conf.save_dir) / f"{LAST}.pt"
        if path.exists():
            load_network(path, "model")  # raises where the weights are no numbers
            with code_refused():  # by default torch before 2.6 would run it
                self._load_resuming_checkpoint(str(path))
        else:
            start = starting_point(self._start["init"], self._start["config"], self._seed)
            self.model.load_state_dict(start.weights)

    def save_checkpoint(self, epoch: int, checkpoint_names: list[str] | None = None) -> None:
        """Write last.pt, `epoch` epochs being done."""
        super().save_checkpoint(epoch, checkpoint_names or [LAST])

    def _save_checkpoint(self, checkpoint: dict[str, Any], checkpoint_path: str) -> None:
        check_weights(checkpoint["model"], Path(checkpoint_path))
        save_checkpoint(checkpoint, Path(checkpoint_path))

    def is_intermediate_val_epoch(self, epoch: int) -> bool:
        """After every k-th epoch, counted from one, but for the last, which is validated in any case."""
        return (epoch + 1) % self.val_epoch_freq == 0 and epoch < self.max_epochs - 1

    def run(self) -> None:
        """Validate the starting point, then train and validate to the end."""
        if self.distributed_rank == 0:
            for name in (LAST, BEST):  # a run killed while it wrote one leaves its unfinished copy
                remove_dead_drafts(Path(self.checkpoint_conf.save_dir) / f"{name}.pt")
        try:
            if self.epoch == 0:
                self._validate(0)
            super().run()
        finally:
            self._log.close()
            if self.logger.tb_logger is not None:
                self.logger.tb_logger.close()

    def run_val(self) -> None:
        """Validate after `self.epoch`, which is done."""
        self._validate(int(self.epoch) + 1)

    def _validate(self, epochs_done: int) -> None:
        if self._validation is None:
            return
        network = unwrap_ddp_if_wrapped(self.model)
        state = {name: value.detach().cpu() for name, value in network.state_dict().items()}
        outcome = self._validation.run(state, epochs_done, self.distributed_rank, _world_size())
        if self.distributed_rank == 0 and outcome is not None:
            self._log.validated(outcome, self.logger)
            if outcome.is_best:
                self._save_checkpoint(
                    {"model": state, "epoch": epochs_done, "improvement_percent": outcome.improvement_percent},
                    os.path.join(self.checkpoint_conf.save_dir, f"{BEST}.pt"),
                )
        barrier()

    def train_epoch(self, train_loader: Any) -> dict[str, float]:
        """One epoch; its generators start from seed, epoch and rank."""
        epoch, rank = int(self.epoch), self.distributed_rank
        # The prompts' generator is the same on every rank, as upstream: ranks must agree on which parts are used.
        unwrap_ddp_if_wrapped(self.model).rng = np.random.default_rng((self._seed, epoch))
        seed = int(np.random.default_rng((self._seed, epoch, rank)).integers(2**31))
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        batches = _Accumulated(train_loader, self._accumulate)
        self._log.begin_epoch(epoch, self.max_epochs, len(batches))
        outcome = super().train_epoch(batches)
        rates = [group["lr"] for group in self.optim.optimizer.param_groups]
        self._log.end_epoch(epoch, self.steps["train"], outcome, (min(rates), max(rates)))
        return outcome

    def _run_step(
        self,
        batch: _Batches,
        phase: str,
        loss_mts: dict[str, AverageMeter],
        extra_loss_mts: dict[str, AverageMeter],
        raise_on_error: bool = True,
    ) -> None:
        self.optim.zero_grad(set_to_none=True)
        total = 0.0
        for index, part in enumerate(batch):
            with ExitStack() as stack:
                if index < len(batch) - 1:  # gradients are summed over the processes with the last part
                    stack.enter_context(self.model.no_sync())
                amp = self.optim_conf.amp
                with torch.autocast(self.device.type, dtype=get_amp_type(amp.amp_dtype), enabled=amp.enabled):
                    losses, size, extra = self._step(part, self.model, phase)
                ((key, loss),) = losses.items()
                if not math.isfinite(loss.item()):
                    raise InputError(
                        f"{self.checkpoint_conf.save_dir}: expected a finite loss, found {loss.item()} in epoch "
                        f"{int(self.epoch) + 1}; lower --lr and --image-encoder-lr, or train with --precision float32"
                    )
                self.scaler.scale(loss / len(batch)).backward()
            loss_mts[key].update(loss.item(), size)
            for name, value in extra.items():
                meter = extra_loss_mts.setdefault(name, AverageMeter(name, self.device, ":.2e"))
                meter.update(value.item(), size)
            total += loss.item() / len(batch)
        self._log.step(total)


class _Batches(list[Any]):
    """The parts of one optimiser step."""

    def to(self, *arguments: Any, **settings: Any) -> _Batches:
        return _Batches(part.to(*arguments, **settings) for part in self)


class _Accumulated:
    """A loader whose batches are lists of `count` of another's; the last may be shorter."""

    def __init__(self, loader: Any, count: int) -> None:
        self._loader, self._count = loader, count

    def __len__(self) -> int:
        return -(-len(self._loader) // self._count)

    def __iter__(self) -> Iterator[_Batches]:
        parts = _Batches()
        for batch in self._loader:
            parts.append(batch)
            if len(parts) == self._count:
                yield parts
                parts = _Batches()
        if parts:
            yield parts


def _no_log() -> None:
    pass


class _NoMemory(MemMeter):
    """Upstream's meter of GPU memory, where there is no GPU."""

    def update(self, n: int = 1, reset_peak_usage: bool = True) -> None:
        pass


def _world_size() -> int:
    return torch.distributed.get_world_size()


def _send_to_stderr(logger: logging.Logger) -> None:
    """Upstream logs every step to stdout, which is for results; warnings go to stderr, all of it to logs/log.txt."""
    for handler in logger.handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stdout:
            handler.setStream(sys.stderr)
            handler.setLevel(logging.WARNING)
