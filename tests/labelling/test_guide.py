"""The guides' commands are ones that the program understands, and its pictures exist."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
from pathlib import Path

import pytest

from cinetrack.cli.main import COMMANDS

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = ("label-sequences", "label-with-several-people", "make-pseudo-labels")
GUIDE = "".join((REPOSITORY / f"docs/how-to/{name}.md").read_text(encoding="utf-8") for name in PAGES)
BLOCKS = re.findall(r"```bash\n(.*?)```", GUIDE, re.DOTALL)
LINES = [line for block in BLOCKS for line in block.splitlines() if "cinetrack " in line and not line.startswith("pip")]


@pytest.mark.parametrize("line", LINES)
def test_a_command_of_the_guide_parses(line):
    words = shlex.split(line, comments=True)
    words = words[words.index("cinetrack") + 1 :]
    module = importlib.import_module(COMMANDS[words[0]][0])
    parser = argparse.ArgumentParser(exit_on_error=False)
    module.add_arguments(parser)
    parser.parse_args(words[1:])


def test_the_guides_pictures_exist():
    pictures = re.findall(r"images/labelling/\w+\.png", GUIDE)
    assert len(pictures) >= 4 and len(LINES) >= 8
    assert all((REPOSITORY / "docs" / picture).stat().st_size > 10_000 for picture in pictures)
