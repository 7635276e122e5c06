"""Runs as Slurm jobs: the script that sbatch gets, and jobs that train on this machine through the same runner."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil
import pytest
import torch
from omegaconf import OmegaConf
from submitit import LocalJob
from tiny import write_tiny_config

from cinetrack.cli.main import main
from cinetrack.errors import InputError
from cinetrack.finetuning.slurm import FineTuningJob, SlurmSettings, read_settings
from cinetrack.finetuning.tables import read_table
from cinetrack.finetuning.training_config import mose_recipe

ROOT = Path(__file__).resolve().parents[2]
LOCAL = "cluster: local\ngpus_per_node: 0\ntimeout_hour: 0.5\n"


def submission(folder: Path, settings: str, *more: str) -> list[str]:
    """Words of a command that submits a tiny run."""
    (folder / "slurm.yaml").write_text(settings)
    words = f"finetune --phantom-clips 4 --init scratch --config {write_tiny_config(folder / 'tiny.yaml')}"
    words += f" --clip-frames 3 --workers 0 -o {folder}/run --slurm {folder}/slurm.yaml"
    return [*words.split(), *more]


@pytest.fixture
def cluster(tmp_path, monkeypatch) -> Path:
    """The programs of a cluster: sbatch keeps its script and gives it number 4711. Returns the kept script's path."""
    programs, kept = tmp_path / "bin", tmp_path / "kept.sh"
    programs.mkdir()
    for name, body in (("srun", "exit 0"), ("sbatch", f'cp "$1" {kept}; echo Submitted batch job 4711')):
        (programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return kept


@pytest.fixture
def importable_jobs(monkeypatch):
    """Jobs are processes of their own, which import this package from here."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def wait_for(happened, seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.2)


def submit_here(words: list[str], folder: Path, capsys, ranks: int) -> LocalJob:
    capsys.readouterr()
    assert main(words) == 0
    return LocalJob(folder / "run" / "slurm", capsys.readouterr().out.strip(), range(ranks))


def test_a_job_trains_with_all_its_ranks_and_writes_the_runs_files(tmp_path, capsys, importable_jobs):
    words = submission(tmp_path, LOCAL + "tasks_per_node: 2\n", "--epochs", "1")
    job = submit_here(words, tmp_path, capsys, ranks=2)
    wait_for(lambda: all(job.task(rank).paths.result_pickle.exists() for rank in range(2)))
    assert job.results() == [None, None]  # raises what a rank raised
    run = tmp_path / "run"
    assert torch.load(run / "last.pt", weights_only=True)["epoch"] == 1
    (row,) = read_table(run / "losses.csv")
    assert row["steps"] == "2"  # 4 clips shared by 2 ranks


@pytest.mark.slow
def test_a_killed_job_that_is_submitted_again_goes_on_from_its_last_checkpoint(tmp_path, capsys, importable_jobs):
    words, run = submission(tmp_path, LOCAL, "--epochs", "4"), tmp_path / "run"
    killed = submit_here(words, tmp_path, capsys, ranks=1)
    wait_for((run / "last.pt").exists)
    (task,) = psutil.Process(int(killed.job_id)).children()
    task.kill()
    job = submit_here(words, tmp_path, capsys, ranks=1)
    wait_for(job.paths.result_pickle.exists)
    job.result()
    assert "Resuming training from epoch" in (run / "logs" / "log.txt").read_text()
    assert torch.load(run / "last.pt", weights_only=True)["epoch"] == 4
    assert [row["epoch"] for row in read_table(run / "losses.csv")] == [str(epoch + 1) for epoch in range(4)]


def test_slurm_may_start_the_job_again_after_preemption_or_its_time_limit(tmp_path):
    config = OmegaConf.create({"trainer": {"seed_value": 5}})
    again = FineTuningJob(12345, config).checkpoint()  # what submitit puts into the queue in place of the job
    assert isinstance(again.function, FineTuningJob)
    assert (again.function.port, again.function.cfg) == (12345, config)


def test_sbatch_is_asked_for_the_machines_of_the_settings(tmp_path, capsys, cluster):
    settings = """
        partition: gpu
        account: radiotherapy
        qos: high
        num_nodes: 2
        gpus_per_node: 4
        cpus_per_task: 6
        mem_gb: 120
        timeout_hour: 1.5
        name: small
        constraints: a100
        exclude_nodes: [gpu7, gpu9]
    """
    assert main(submission(tmp_path, settings)) == 0
    assert capsys.readouterr().out == "4711\n"
    script = cluster.read_text().splitlines()
    for option in (
        "partition=gpu",
        "account=radiotherapy",
        "qos=high",
        "nodes=2",
        "gpus-per-node=4",
        "ntasks-per-node=4",
        "cpus-per-task=6",
        "mem=120GB",
        "time=90",
        "job-name=small",
        "constraint=a100",
        "exclude=gpu7,gpu9",
    ):
        assert f"#SBATCH --{option}" in script
    (step,) = [line for line in script if line.startswith("srun ")]
    assert "--cpus-per-task 6" in step


def test_the_job_trains_on_the_gpus_it_asks_for_though_this_machine_may_have_none(tmp_path, cluster):
    assert main(submission(tmp_path, "gpus_per_node: 2")) == 0
    trainer = OmegaConf.load(tmp_path / "run" / "training.yaml").trainer
    assert (trainer.accelerator, trainer.distributed.backend) == ("cuda", "nccl")
    assert trainer.optim.amp == {"enabled": True, "amp_dtype": "bfloat16"}


@pytest.mark.parametrize(("gpus", "device"), [(0, "cuda"), (1, "cpu")])
def test_another_device_than_the_jobs_is_refused(gpus, device, tmp_path, capsys, cluster):
    assert main(submission(tmp_path, f"gpus_per_node: {gpus}", "--device", device)) == 2
    assert f"--device {device}: expected" in capsys.readouterr().err
    assert not cluster.exists()


def test_a_machine_without_slurm_is_told_so(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(submission(tmp_path, "gpus_per_node: 0")) == 2
    assert "slurm.yaml: expected a machine that submits to Slurm, found" in capsys.readouterr().err


def test_a_refusal_of_sbatch_is_passed_on(tmp_path, capsys, cluster):
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.write_text("#!/bin/sh\necho invalid partition specified: nosuch >&2\nexit 1\n")
    assert main(submission(tmp_path, "gpus_per_node: 0\npartition: nosuch")) == 2
    assert "expected settings that Slurm takes, found: invalid partition" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gpus: 4", "expected some of the keys partition, .*found gpus"),
        ("", "expected some of the keys .*found None"),
        ("- a list", "expected some of the keys"),
        ("a: [", "expected a yaml with settings for Slurm"),
        ("num_nodes: 0", "num_nodes: expected a whole number, 1 or more, found 0"),
        ("gpus_per_node: true", "gpus_per_node: expected a whole number, 0 or more, found True"),
        ("cpus_per_task: null", "cpus_per_task: expected a whole number"),
        ("timeout_hour: 2 days", "timeout_hour: expected a positive number, found '2 days'"),
        ("mem_gb: -1", "mem_gb: expected a positive number"),
        ("partition: 3", "partition: expected a name, found 3"),
        ("exclude_nodes: gpu7", "exclude_nodes: expected a list of machines' names, found 'gpu7'"),
        ("num_nodes: 2\ninclude_nodes: [gpu7]", "include_nodes: expected 2 or more, found 1"),
        ("port_range: [70000, 80000]", "port_range: expected two ports of 1024 to 65535"),
        ("port_range: 5000", "port_range: expected two ports, found 5000"),
        ("cluster: lsf", "cluster: expected slurm or local, found 'lsf'"),
        ("cluster: local\nnum_nodes: 2", "num_nodes: expected 1 with the cluster local"),
        ("gpus_per_node: 4\ntasks_per_node: 2", "tasks_per_node: expected one a GPU, that is 4, found 2"),
    ],
)
def test_unusable_settings_are_named(text, message, tmp_path):
    path = tmp_path / "slurm.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=f"slurm.yaml: {message}"):
        read_settings(path)


def test_a_missing_file_of_settings_is_named(tmp_path):
    with pytest.raises(InputError, match="slurm.yaml: expected a yaml with settings for Slurm, found none"):
        read_settings(tmp_path / "slurm.yaml")


def test_keys_of_sam2s_own_configurations_are_taken(tmp_path):
    stock = mose_recipe()
    upstream = {*stock.launcher, *stock.submitit} - {"experiment_log_dir", "use_cluster"}
    assert upstream <= set(SlurmSettings.__dataclass_fields__)
