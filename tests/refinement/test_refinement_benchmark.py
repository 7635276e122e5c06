"""The benchmark runs as the docs say and writes what it printed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_benchmark_compares_both_on_a_model_folder_and_writes_json(model_folder, tmp_path):
    output = tmp_path / "refinement.json"
    options = f"--sizes 70 --tile-step-sizes 0.5 --repeats 1 --device cpu --model {model_folder} -o {output}"
    done = subprocess.run(
        [sys.executable, "benchmarks/refinement.py", *options.split()], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(output.read_text())["rows"]
    assert row["equal_labels"] >= 0.9999
    assert 0 < row["foreground"] < 1
    assert f"{row['ours_s']:.3f}" in done.stdout
    assert json.loads(output.read_text())["device"]
