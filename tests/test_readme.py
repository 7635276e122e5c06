"""What the README shows works as shown."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from cinetrack.cli.main import parse

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
    assert names["result"].mask.shape == frames[0].shape and len(names["session"].results) == 3


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
