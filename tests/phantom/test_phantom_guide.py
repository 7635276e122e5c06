"""What docs/how-to/make-synthetic-cases.md shows works, and the scripts behind its pictures and figures run."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs/how-to/make-synthetic-cases.md").read_text()
PICTURES = ROOT / "docs/images"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def run(arguments, folder: Path) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=ENVIRONMENT, cwd=folder)


def test_the_guides_command_writes_its_cases(tmp_path):
    (line,) = re.findall(r"^cinetrack phantom .*$", GUIDE, re.MULTILINE)
    result = run(["-m", *shlex.split(line)], tmp_path)
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in (tmp_path / "phantom-data").iterdir()) == ["P1_0001", "P1_0002", "P1_0003"]


def test_the_guides_code_runs(tmp_path):
    (code,) = re.findall(r"^```python\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
    result = run(["-c", code], tmp_path)
    assert result.returncode == 0, result.stderr


def test_the_guides_pictures_are_there_and_small():
    for name, limit in (("phantom-contact-sheet.png", 1.5e6), ("phantom-clip.gif", 2e6)):
        assert name in GUIDE
        assert (PICTURES / name).stat().st_size < limit


@pytest.mark.slow
def test_the_pictures_are_made_by_their_script(tmp_path):
    result = run([ROOT / "docs" / "make_phantom_pictures.py", "--out", tmp_path], tmp_path)
    assert result.returncode == 0, result.stderr
    for name in ("phantom-contact-sheet.png", "phantom-clip.gif"):
        with Image.open(tmp_path / name) as made, Image.open(PICTURES / name) as shown:
            assert made.size == shown.size


@pytest.mark.slow
def test_the_benchmark_writes_its_figures_and_the_processors_name(tmp_path):
    result = run([ROOT / "benchmarks" / "phantom.py", "--repeats", "1", "--out", tmp_path / "figures.json"], tmp_path)
    assert result.returncode == 0, result.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["cpu"] and all(rate > 0 for rate in figures["fastest"].values())
