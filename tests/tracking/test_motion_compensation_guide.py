"""docs/motion-compensation.md: its commands parse, and its Python runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from cinetrack import load_tracker
from cinetrack.cli.main import parse

GUIDE = (Path(__file__).resolve().parents[2] / "docs/motion-compensation.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, flags=re.DOTALL)


@pytest.mark.parametrize("line", "".join(blocks("bash")).replace("\\\n", " ").splitlines())
def test_a_command_of_the_guide_parses(line):
    words = shlex.split(line)
    assert words[0] == "cinetrack" and parse(words[1:]).command == words[1]


def test_the_guides_python_tracks(drifting_series, default_bundle):
    frames, masks = drifting_series
    names = {"sam2": load_tracker(default_bundle), "frame": frames[0], "mask": masks[0]}
    for block in blocks("python"):
        exec(compile(block, "docs/motion-compensation.md", "exec"), names)
    assert names["session"].step(frames[1]).mask.any()
