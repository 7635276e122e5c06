"""A run as a Slurm job: SAM2's own runner of jobs, with its settings from a small yaml.

Follows `training.train` of sam2 1.1.0, whose `SubmititRunner` the job is, and takes the keys that its `launcher` and
`submitit` sections have. The job and every rank of it find the run's configuration in the pickled runner. submitit puts
a job that is preempted, or reaches its time limit, back into the queue; it then goes on from the run's last.pt.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import submitit
import yaml
from omegaconf import DictConfig
from submitit.core.utils import FailedJobError, FailedSubmissionError
from training.train import SubmititRunner

from cinetrack.bundle.model_yaml import check_unfolded_size
from cinetrack.errors import InputError
from cinetrack.finetuning.run import out_of_memory_explained

LOGS = "slurm"  # in the run's folder: submitit's scripts, and what the job printed
MAX_PORT = 65535


@dataclass(frozen=True)
class SlurmSettings:
    """Which machines to ask for. Keys of SAM2's configurations keep their names.

    Attributes:
        num_nodes, gpus_per_node: machines, and GPUs of each; 0 GPUs to train on CPUs.
        tasks_per_node: processes on each machine; one a GPU, or one where there are none, if not given.
        cpus_per_task: cores a process; the loader's workers run on them too.
        mem_gb: memory a machine; the cluster's default if not given.
        timeout_hour: after it the job is put back into the queue, three times at most.
        constraints, comment, exclude_nodes, include_nodes: as sbatch's options constraint, comment, exclude, nodelist.
        port_range: a port of it is drawn, at which the processes meet.
        cluster: slurm, or local for a job on this machine, to try out settings without Slurm.
    """

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    num_nodes: int = 1
    gpus_per_node: int = 1
    tasks_per_node: int | None = None
    cpus_per_task: int = 10
    mem_gb: float | None = None
    timeout_hour: float = 24.0
    name: str = "cinetrack-finetune"
    constraints: str | None = None
    comment: str | None = None
    exclude_nodes: tuple[str, ...] = ()
    include_nodes: tuple[str, ...] = ()
    port_range: tuple[int, int] = (10000, 65000)
    cluster: str = "slurm"

    def __post_init__(self) -> None:
        for key in ("partition", "account", "qos", "constraints", "comment", "name"):
            value = getattr(self, key)
            if not (value is None and key != "name") and not (isinstance(value, str) and value):
                raise InputError(f"{key}: expected a name, found {value!r}")
        for key, least in (("num_nodes", 1), ("gpus_per_node", 0), ("tasks_per_node", 1), ("cpus_per_task", 1)):
            value = getattr(self, key)
            if not (value is None and key == "tasks_per_node") and not (type(value) is int and value >= least):
                raise InputError(f"{key}: expected a whole number, {least} or more, found {value!r}")
        for key in ("mem_gb", "timeout_hour"):
            value = getattr(self, key)
            usable = type(value) in (int, float) and math.isfinite(value) and value > 0
            if not usable and not (value is None and key == "mem_gb"):
                raise InputError(f"{key}: expected a positive number, found {value!r}")
        for key in ("exclude_nodes", "include_nodes"):
            value = getattr(self, key)
            if not isinstance(value, tuple) or not all(isinstance(node, str) and node for node in value):
                raise InputError(f"{key}: expected a list of machines' names, found {value!r}")
        if self.include_nodes and len(self.include_nodes) < self.num_nodes:
            raise InputError(f"include_nodes: expected {self.num_nodes} or more, found {len(self.include_nodes)}")
        ports = self.port_range
        if not isinstance(ports, tuple) or len(ports) != 2 or not all(type(port) is int for port in ports):
            raise InputError(f"port_range: expected two ports, found {ports!r}")
        if not 1024 <= ports[0] <= ports[1] <= MAX_PORT:
            raise InputError(f"port_range: expected two ports of 1024 to {MAX_PORT}, found {ports!r}")
        if self.cluster not in ("slurm", "local"):
            raise InputError(f"cluster: expected slurm or local, found {self.cluster!r}")
        if self.cluster == "local" and self.num_nodes > 1:
            raise InputError(f"num_nodes: expected 1 with the cluster local, found {self.num_nodes}")
        if self.gpus_per_node and self.tasks_per_node not in (None, self.gpus_per_node):
            raise InputError(
                f"tasks_per_node: expected one a GPU, that is {self.gpus_per_node}, found {self.tasks_per_node}"
            )

    @property
    def device(self) -> str:
        """What the job trains on; the machine that submits it may well have no GPU."""
        return "cuda" if self.gpus_per_node else "cpu"

    def for_submitit(self) -> dict[str, Any]:
        """As parameters of submitit's AutoExecutor; those of Slurm alone are passed over by the cluster local."""
        # From Slurm 22.05 on, srun does not take --cpus-per-task over from sbatch.
        steps = ["--cpus-per-task", str(self.cpus_per_task)]
        return {
            "name": self.name,
            "timeout_min": math.ceil(60 * self.timeout_hour),
            "nodes": self.num_nodes,
            "gpus_per_node": self.gpus_per_node or None,
            "tasks_per_node": self.tasks_per_node or max(self.gpus_per_node, 1),
            "cpus_per_task": self.cpus_per_task,
            "mem_gb": self.mem_gb,
            "slurm_partition": self.partition,
            "slurm_account": self.account,
            "slurm_qos": self.qos,
            "slurm_constraint": self.constraints,
            "slurm_comment": self.comment,
            "slurm_exclude": ",".join(self.exclude_nodes) or None,
            "slurm_nodelist": ",".join(self.include_nodes) or None,
            "slurm_srun_args": steps,
        }


class FineTuningJob(SubmititRunner):
    """Upstream's runner of a configuration's trainer; memory that runs out is explained as it is without Slurm."""

    def run_trainer(self) -> None:
        """Train, or go on from last.pt, as the rank that the job's environment names."""
        with out_of_memory_explained(self.cfg):
            super().run_trainer()


def read_settings(path: Path) -> SlurmSettings:
    """Read the settings of `--slurm`.

    Raises:
        InputError: no such file, no yaml of keys and values, an unknown key or an unusable value.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        check_unfolded_size(path, text)
        found = yaml.safe_load(text)
    except FileNotFoundError:
        raise InputError(f"{path}: expected a yaml with settings for Slurm, found none") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"{path}: expected a yaml with settings for Slurm, found something else ({error})") from None
    known = [field.name for field in fields(SlurmSettings)]
    if not isinstance(found, dict):
        raise InputError(f"{path}: expected some of the keys {', '.join(known)}, found {found!r}")
    unknown = [str(key) for key in found if key not in known]
    if unknown:
        raise InputError(f"{path}: expected some of the keys {', '.join(known)}, found {', '.join(unknown)}")
    settings: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in found.items()}
    try:
        return SlurmSettings(**settings)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def submit(config: DictConfig, settings: Path) -> str:
    """Submit a run.

    Args:
        config: from `prepare_run`, for the device that the settings ask for.
        settings: a yaml with keys of `SlurmSettings`.
    Returns:
        the job's id. What the job prints goes to RUN/slurm/<id>_<rank>_log.out and .err.
    Raises:
        InputError: unusable settings, no Slurm here, or Slurm refuses the job.
    """
    wanted = read_settings(settings)
    if config.trainer.accelerator != wanted.device:
        raise InputError(
            f"{settings}: expected gpus_per_node that goes with --device {config.trainer.accelerator}, "
            f"found {wanted.gpus_per_node}"
        )
    try:
        executor = submitit.AutoExecutor(Path(config.launcher.experiment_log_dir) / LOGS, cluster=wanted.cluster)
        executor.update_parameters(**wanted.for_submitit())
        job = executor.submit(FineTuningJob(random.randint(*wanted.port_range), config))
    except (FailedJobError, FailedSubmissionError) as error:  # the former where sbatch itself fails
        raise InputError(f"{settings}: expected settings that Slurm takes, found: {error}") from None
    except RuntimeError as error:  # no srun here
        raise InputError(f"{settings}: expected a machine that submits to Slurm, found: {error}") from None
    return job.job_id
