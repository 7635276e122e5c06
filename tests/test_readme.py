"""What the README shows works as shown."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from cinetrack.cli.main import main, parse

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_python_examples_run_in_order(moving_disc, monkeypatch):
    monkeypatch.chdir(ROOT)
    frames, masks = moving_disc
    names = {"frame": frames[0], "next_frame": frames[1], "mask": masks[0], "other_mask": masks[3]}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    assert names["result"].mask.shape == frames[0].shape and len(names["session"].results) == 2


@pytest.mark.parametrize("bundle", ["default", "registration", "static"])
def test_the_examples_scores_are_the_ones_shown(bundle, tmp_path):
    row = next(line for line in README.splitlines() if line.startswith(f"| {bundle} |"))
    dice, hd95 = (float(cell) for cell in row.split("|")[2:4])
    truth, metrics = str(ROOT / "examples/data"), tmp_path / "metrics.json"
    assert main(["predict", truth, "-o", str(tmp_path), "--model", bundle]) == 0
    assert main(["evaluate", str(tmp_path), "--truth", truth, "--output", str(metrics)]) == 0
    means = json.loads(metrics.read_text())["aggregates"]
    # Another processor rounds otherwise; what the reader is told must still hold.
    assert means["dice_similarity_coefficient"] == pytest.approx(dice, abs=0.005)
    assert means["hausdorff_distance_95"] == pytest.approx(hd95, abs=0.25)


def shown_commands() -> list[str]:
    lines = "".join(blocks("bash")).replace("\\\n", " ").splitlines()
    return [line.split("#")[0].strip() for line in lines if "cinetrack " in line.split("#")[0]]


@pytest.mark.parametrize("line", shown_commands())
def test_every_command_shown_is_one_that_the_parser_takes(line):
    words = shlex.split(line)
    arguments = words[words.index("cinetrack") + 1 :]
    assert parse(arguments).command == arguments[0]


@pytest.mark.parametrize("target", re.findall(r"\]\((?!http|#)([^)]+)\)", README))
def test_every_file_linked_exists(target):
    assert (ROOT / target).exists()


def test_the_tree_shown_is_the_tree():
    for path in re.findall(r"^\| (.+?) \|", README, flags=re.MULTILINE):
        for name in re.findall(r"`([\w/.]+)`", path):
            if "/" in name or "." in name:
                assert (ROOT / name).exists(), name
