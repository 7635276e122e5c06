"""The guides to fine-tuning: their commands run, and their tables say what the code does.

A small network stands in for SAM2.1 Small, and the commands that train get options that keep them short.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny import write_tiny_config

from cinetrack.cli.main import main, parse
from cinetrack.finetuning.initial_weights import untrained_weights
from cinetrack.finetuning.phantom_settings import phantom_source
from cinetrack.finetuning.recipe import Recipe
from cinetrack.finetuning.slurm import read_settings
from cinetrack.finetuning.training_config import mose_recipe
from cinetrack.sequence import CineSequence
from cinetrack.sequence.image_files import ImageGeometry, write_masks
from cinetrack.sequence.trackrad_dataset import write_case

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    "how-to/fine-tune-sam2",
    "how-to/track-on-stabilised-frames",
    "how-to/fine-tune-on-gpus-and-clusters",
    "explanation/fine-tuning",
)
GUIDE = "\n".join((ROOT / f"docs/{page}.md").read_text(encoding="utf-8") for page in PAGES)
FORMATS = (ROOT / "docs/reference/file-formats.md").read_text(encoding="utf-8")
SHORT = "--image-size 64 --clip-frames 3 --epochs 1 --multiplier 1 --workers 0 --device cpu".split()  # noqa: SIM905


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, flags=re.DOTALL)


def commands() -> list[list[str]]:
    """Words of every command of the guide from `cinetrack` on, those of torchrun as they are."""
    lines = "".join(blocks("bash")).replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))[0] in ("cinetrack", "torchrun")]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_a_command_of_the_guide_parses(words):
    arguments = words[words.index("cinetrack") + 1 :]
    assert parse(arguments).command == arguments[0]


def test_the_table_of_settings_has_the_defaults():
    recipe = Recipe()
    rates = {"--image-encoder-lr": recipe.image_encoder_lr, "--lr": recipe.other_lr}
    for option, rate in rates.items():
        assert f"(`{option}`) | {rate * 1e6:.1f}e-6 | the paper |" in GUIDE
    assert f"| `--epochs` | {recipe.epochs} |" in GUIDE
    of_clips = f"{recipe.clip_frames}, {recipe.max_objects}, {recipe.multiplier}"
    assert f"| `--clip-frames`, `--max-objects`, `--multiplier` | {of_clips} |" in GUIDE
    assert f"| `--layer-decay`, of the image encoder's rate from layer to layer | {recipe.layer_decay} |" in GUIDE
    assert f"| `--warmup-share` | {recipe.warmup_share:g} |" in GUIDE
    assert recipe.final_lr_share == 0.1 and "cosine to a tenth" in GUIDE


def test_what_the_guide_says_of_sam2s_recipe_is_in_its_file():
    stock = mose_recipe()
    assert (stock.scratch.vision_lr, stock.scratch.base_lr) == (3e-6, 5e-6)
    assert stock.trainer.loss["all"].weight_dict == {"loss_mask": 20, "loss_dice": 1, "loss_iou": 1, "loss_class": 1}
    assert stock.trainer.optim.gradient_clip.max_norm == 0.1
    assert stock.trainer.optim.options.weight_decay[0].scheduler.value == 0.1
    assert (stock.scratch.num_epochs, stock.scratch.num_frames, stock.scratch.max_num_objects) == (40, 8, 3)
    assert (stock.dataset.multiplier, stock.scratch.train_batch_size) == (2, 1)


def test_the_settings_for_slurm_and_for_clips_are_ones_that_the_command_takes(tmp_path):
    (settings,), (clips,) = blocks("yaml"), blocks("json")
    (tmp_path / "slurm.yaml").write_text(settings)
    assert read_settings(tmp_path / "slurm.yaml").gpus_per_node == 2
    (tmp_path / "clips.json").write_text(clips)
    source = phantom_source(5, tmp_path / "clips.json")
    assert (source.size_px, source.config.displacement_px) == ((224, 352), (4, 36))


def test_an_unpublished_size_of_image_is_tracked_with_the_runs_own_configuration():
    assert "--tracker-config run-small-model/tracker.yaml" in GUIDE


@pytest.fixture
def workplace(tmp_path, moving_disc, monkeypatch) -> Path:
    """The files that the guide's commands name, and the programs of a cluster; the working folder."""
    frames, masks = moving_disc
    sequence = CineSequence(frames, (1.5, 1.0), 4.0, 0.35, "abdomen")
    for folder, patients in (("DATASET", "AB"), ("HELD_OUT", "C"), ("TEST", "D"), ("UNLABELLED", "E")):
        for patient in patients:
            write_case(tmp_path / folder, f"{patient}_001", sequence, None if folder == "UNLABELLED" else masks)
    pseudo = tmp_path / "pseudo" / "E_001"
    write_masks(pseudo / "masks.mha", masks, ImageGeometry((1.0, 1.0, 1.5), (0, 0, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    (pseudo / "meta.json").write_text(json.dumps({"case_id": "E_001", "accepted_frames": [0, 1, 2, 4, 5]}))
    write_tiny_config(tmp_path / "small.yaml")
    torch.save({"model": untrained_weights("small.yaml", tmp_path, seed=1)}, tmp_path / "small.pt")
    (tmp_path / "slurm.yaml").write_text(blocks("yaml")[0])
    (tmp_path / "clips.json").write_text(blocks("json")[0])
    (tmp_path / "resources").symlink_to(ROOT / "resources")
    (tmp_path / "bin").mkdir()
    for program, body in (("srun", "exit 0"), ("sbatch", "echo Submitted batch job 4711")):
        (tmp_path / "bin" / program).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / "bin" / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shortened(words: list[str]) -> list[str]:
    """A command with the small network in place of Meta's, and short where it trains."""
    meta = "resources/sam2.1_hiera_small.pt"
    replaced = {meta: "small.pt", "sam2.1_hiera_s.yaml": "run/tracker.yaml", "200": "3"}
    replaced["resources/training/tracker.yaml"] = "small.yaml"
    found = [replaced.get(word, word) for word in words]
    if "finetune" in words:
        found += ["--config", "small.yaml"] if meta in words else []
        found += SHORT[: -2 if "--slurm" in words else None]
    elif meta in words and "bundle" in words:
        found += ["--tracker-config", "small.yaml"]
    return found


@pytest.mark.slow
def test_every_command_of_the_guide_runs(workplace, capsys):
    for words in commands():
        if words[1] in ("label", "propagate"):  # a server, and what it would have stored; see the labelling tests
            continue
        short = shortened(words)
        if words[0] == "torchrun":
            launched = [sys.executable, "-m", "torch.distributed.run", *short[1:]]
            done = subprocess.run(launched, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr[-3000:]
        else:
            assert main(short[1:]) == 0, (words, capsys.readouterr().err[-3000:])
            capsys.readouterr()  # megabytes, if a later command fails
    runs = {path.name for path in workplace.glob("run*")}
    assert runs == {words[words.index("-o") + 1] for words in commands() if "finetune" in words}
    for run in runs - {"run-slurm"}:
        assert all((workplace / run / name).stat().st_size > 0 for name in ("last.pt", "best.pt")), run
    assert (workplace / "comparison").is_dir() and (workplace / "run-slurm" / "slurm").is_dir()
    assert_the_table_of_a_runs_files_is_true(workplace / "run")


def assert_the_table_of_a_runs_files_is_true(run: Path) -> None:
    table = set(re.findall(r"^\| `([\w.]+)/?` \|", FORMATS.split("## A fine-tuning run")[1], flags=re.MULTILINE))
    assert table == {path.name for path in run.iterdir()} | {"slurm"}
    assert "epoch" in (run / "validation.csv").read_text() and "loss" in (run / "losses.csv").read_text()
    assert {"model", "optimizer"} <= torch.load(run / "last.pt", weights_only=True).keys()
    assert torch.load(run / "best.pt", weights_only=True).keys() == {"model", "epoch", "improvement_percent"}
