"""Thousands of damaged images: refused, or read by both readers as SimpleITK reads them; see the benchmark."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def damage(files: int, seed: int) -> dict:
    command = [sys.executable, str(REPOSITORY / "benchmarks/damaged_images.py"), f"--files={files}", f"--seed={seed}"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_damaged_images_are_refused_or_read_as_simpleitk_reads_them():
    found = damage(100, 0)
    assert found["wrong"] == 0 and found["read"] > 10 and found["refused"] > 10


@pytest.mark.slow
def test_thousands_of_damaged_images_are_refused_or_read_as_simpleitk_reads_them():
    found = damage(3000, 1)
    assert found["wrong"] == 0
    assert found["refused, read right by SimpleITK"] < 0.02 * found["files"]
