"""Clips a second and peak memory of fine-tuning: fed from mha cases, from stock JPEG/PNG folders, from the phantom.

    python benchmarks/finetune.py [--config YAML|small] [--clips 8] [--workers 1] [--device cpu]

The trainer, its settings and its transforms are the same throughout; only the dataset under `trainer.data.train` is
another: our cases from mha by way of the memory-mapped cache, SAM2's own `PNGRawDataset` over JPEG frames and palette
PNG masks of the same phantom cases, and phantom clips drawn on the fly. Each is measured twice, in processes of their
own: the loader alone, and whole training. Clips have one object each, so that all sources train on as much.

A whole epoch is timed, with the start of the loader's workers; the fastest of the epochs counts. Memory is that of the
process and its workers together, sampled: `rss` counts a page once for each process that has it, `pss` once. `cuda` is
what torch holds of the GPU. `ready` is what comes once, before training: checks, and writing the cache or the pictures,
whose size is beside it. On a CPU the network is the small one of resources/training, on a GPU SAM2.1 Small at
1024 px, untrained in either case. Writes benchmarks/results/finetune-<cpu|cuda>.json.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
from machine import device_name  # noqa: E402
from omegaconf import DictConfig, OmegaConf  # noqa: E402
from PIL import Image  # noqa: E402

from cinetrack.finetuning.recipe import PhantomSource, Recipe, TrainingData  # noqa: E402
from cinetrack.finetuning.run import CONFIG_NAME, prepare_run, train  # noqa: E402
from cinetrack.finetuning.run_log import LOSSES_CSV  # noqa: E402
from cinetrack.finetuning.tables import read_table  # noqa: E402
from cinetrack.finetuning.training_case import training_cases  # noqa: E402
from cinetrack.finetuning.training_config import mose_recipe  # noqa: E402
from cinetrack.phantom.dataset import write_phantom_cases  # noqa: E402
from cinetrack.phantom.draws import PhantomRequest  # noqa: E402
from cinetrack.sequence.atomic_write import write_text_atomically  # noqa: E402

SOURCES = ("mha cases, ours", "JPEG/PNG, stock", "phantom clips, ours")
STAGES = ("loader", "training")
CASES = 4
JPEG_QUALITY = 95
SAMPLE_EVERY_S = 0.2


def main() -> None:
    """Parse, measure, print the table and write the json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", help="tiny, small, base+, large or a yaml; default: by device")
    parser.add_argument("--image-size", type=int, help="px; the architecture's by default")
    parser.add_argument("--side", type=int, default=350, help="of the cases' frames, px")
    parser.add_argument("--frames", type=int, default=40, help="of a case")
    parser.add_argument("--clips", type=int, default=8, help="an epoch; a multiple of 4")
    parser.add_argument("--clip-frames", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=2, help="epochs timed; the fastest counts")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=("cpu", "cuda"))
    parser.add_argument("-o", "--output", type=Path, help="default: benchmarks/results/finetune-<device>.json")
    parser.add_argument("--measure", nargs=2, metavar=("STAGE", "RUN"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measured(*args.measure)))
        return
    if args.clips < CASES or args.clips % CASES:
        parser.error(f"--clips: expected a multiple of {CASES}, found {args.clips}")
    small = str(ROOT / "resources" / "training" / "tracker.yaml")
    args.config = args.config or ("small" if args.device == "cuda" else small)
    with tempfile.TemporaryDirectory() as scratch:
        rows = [row for source in SOURCES for row in rows_of(source, args, Path(scratch))]
    result = {
        "device": device_name(args.device),
        "host": device_name(),
        "threads": torch.get_num_threads(),
        "load_average": os.getloadavg()[0],  # above the number of busy cores of this run the machine was shared
        "torch": torch.__version__,
        "config": Path(args.config).name,
        **{name: getattr(args, name) for name in ("image_size", "side", "frames", "clips", "clip_frames", "workers")},
        "rows": rows,
    }
    output = args.output or ROOT / "benchmarks" / "results" / f"finetune-{args.device}.json"
    write_text_atomically(output, json.dumps(result, indent=1) + "\n")
    print(f"wrote {output}", file=sys.stderr)


def rows_of(source: str, args: argparse.Namespace, scratch: Path) -> list[dict[str, Any]]:
    """Measure one source in both stages, and print its lines of the table."""
    data = scratch / "cases"
    if not data.exists():
        request = PhantomRequest(frames=args.frames, shape=(args.side, args.side), difficulty="middle")
        list(write_phantom_cases(data, seed=1, count=CASES, request=request, workers=1))
        print(f"{'source':<20} {'stage':<9} clips/s   rss GB   pss GB  cuda GB  ready s  disk MB")
    rows = []
    for stage in STAGES:
        run = scratch / f"{SOURCES.index(source)}-{stage}"
        start = time.perf_counter()
        config = configured(source, args, data, run)
        ready_s = time.perf_counter() - start
        found, memory = watched(stage, run)
        row = {"source": source, "stage": stage, **found, **memory, "ready_s": ready_s, "disk_mb": disk_mb(config)}
        rows.append(row)
        print(
            f"{source:<20} {stage:<9} {row['clips_per_s']:7.3f} {row['rss_gb']:8.2f} {row['pss_gb']:8.2f} "
            f"{row['cuda_gb']:8.2f} {row['ready_s']:8.1f} {row['disk_mb']:8.1f}",
            flush=True,
        )
    return rows


def configured(source: str, args: argparse.Namespace, data: Path, run: Path) -> DictConfig:
    """The run's configuration with the source as its dataset, as a file for the process that is measured."""
    recipe = Recipe(
        image_size_px=args.image_size,
        epochs=args.epochs,
        clip_frames=args.clip_frames,
        max_objects=1,
        precision="float32" if args.device == "cpu" else "bfloat16",
        workers=args.workers,
        multiplier=args.clips // CASES,
        validate_every=args.epochs,
    )
    phantom = PhantomSource(args.clips, (args.side, args.side)) if source.startswith("phantom") else None
    cases = TrainingData() if phantom else TrainingData((data,))
    wanted = TrainingData(cases.folders, (), phantom)
    config = prepare_run(recipe, wanted, "scratch", args.config, run, args.device, validation_share=0)
    if source.startswith("JPEG"):
        pictures, masks = run / "JPEGImages", run / "Annotations"
        write_pictures(data, pictures, masks)
        config.trainer.data.train.datasets = stock_datasets(config, recipe, pictures, masks)
        write_text_atomically(run / CONFIG_NAME, OmegaConf.to_yaml(config))
    return config


def write_pictures(data: Path, pictures: Path, masks: Path) -> None:
    """The cases as SAM2's training package wants them: grey JPEGs of 8-bit frames, and masks as palette PNGs."""
    for case in training_cases([data]):
        frames, objects, _ = case.read()
        for folder in (pictures / case.case.case_id, masks / case.case.case_id):
            folder.mkdir(parents=True)
        for index, (frame, mask) in enumerate(zip(frames, objects, strict=True)):
            Image.fromarray(frame).save(pictures / case.case.case_id / f"{index:05d}.jpg", quality=JPEG_QUALITY)
            palette = Image.fromarray(mask.astype(np.uint8), mode="P")
            palette.putpalette([0, 0, 0, 255, 0, 0])
            palette.save(masks / case.case.case_id / f"{index:05d}.png")


def stock_datasets(config: DictConfig, recipe: Recipe, pictures: Path, masks: Path) -> list[DictConfig]:
    """`trainer.data.train.datasets` as the MOSE recipe has them, with the run's settings."""
    stock = mose_recipe()
    stock.dataset.update(
        img_folder=str(pictures), gt_folder=str(masks), file_list_txt=None, multiplier=recipe.multiplier
    )
    stock.scratch.update(config.scratch)
    return OmegaConf.to_container(stock, resolve=True)["trainer"]["data"]["train"]["datasets"]


def disk_mb(config: DictConfig) -> float:
    """What the source lies in on the disk, beside the mha files: the cache, or the pictures."""
    run = Path(config.launcher.experiment_log_dir)
    folders = [run / name for name in ("JPEGImages", "Annotations")]
    folders = folders if folders[0].exists() else [run / "cache"]
    return sum(path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file()) / 1e6


def watched(stage: str, run: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Measure in a process of its own; what it found, and the peak memory of it and its workers."""
    peaks = {"rss_gb": 0.0, "pss_gb": 0.0}
    with tempfile.TemporaryFile("w+") as printed, tempfile.TemporaryFile("w+") as told:
        command = [sys.executable, str(Path(__file__).resolve()), "--measure", stage, str(run)]
        with subprocess.Popen(command, stdout=printed, stderr=told, cwd=ROOT) as process:
            while process.poll() is None:
                for name, gb in memory_gb(process.pid).items():
                    peaks[name] = max(peaks[name], gb)
                time.sleep(SAMPLE_EVERY_S)
        if process.returncode:
            told.seek(0)
            sys.exit(f"{told.read()}\nmeasuring the {stage} failed, see above")
        printed.seek(0)
        return json.loads(printed.read().splitlines()[-1]), peaks


def memory_gb(pid: int) -> dict[str, float]:
    """Of a process and all below it, now."""
    rss = pss = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in (main := psutil.Process(pid), *main.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                memory = process.memory_full_info()
                rss, pss = rss + memory.rss, pss + getattr(memory, "pss", memory.rss)
    return {"rss_gb": rss / 1e9, "pss_gb": pss / 1e9}


def measured(stage: str, run: str) -> dict[str, float]:
    """Clips a second of the fastest epoch, and the GPU's memory in the end, which torch never gives back before."""
    config = OmegaConf.load(Path(run) / CONFIG_NAME)
    with contextlib.redirect_stdout(sys.stderr):
        seconds, clips = {"loader": time_loader, "training": time_training}[stage](config)
    cuda = torch.cuda.memory_reserved() if torch.cuda.is_initialized() else 0
    return {"clips_per_s": clips / min(seconds), "cuda_gb": cuda / 1e9}


def time_loader(config: DictConfig) -> tuple[list[float], int]:
    """Seconds of every epoch, and its clips."""
    from hydra.utils import instantiate

    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    data = instantiate(config.trainer.data.train)
    seconds, clips = [], 0
    for epoch in range(config.trainer.max_epochs):
        start = time.perf_counter()
        clips = sum(len(batch.img_batch[0]) for batch in data.get_loader(epoch=epoch))
        seconds.append(time.perf_counter() - start)
    torch.distributed.destroy_process_group()
    return seconds, clips


def time_training(config: DictConfig) -> tuple[list[float], int]:
    """Seconds of every epoch as the run's table has them, and its clips."""
    train(config)
    rows = read_table(Path(config.launcher.experiment_log_dir) / LOSSES_CSV)
    return [float(row["seconds"]) for row in rows], int(rows[0]["steps"]) * config.scratch.train_batch_size


if __name__ == "__main__":
    main()
