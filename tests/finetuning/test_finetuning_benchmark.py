"""The benchmark runs as its docstring says and writes what it printed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_benchmark_measures_all_sources_alone_and_in_training_and_writes_json(tmp_path):
    output = tmp_path / "finetune.json"
    sizes = "--image-size 64 --side 128 --frames 4 --clips 4 --clip-frames 3 --epochs 1"
    command = [sys.executable, "benchmarks/finetune.py", *sizes.split(), "--device", "cpu", "-o", str(output)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    result = json.loads(output.read_text())
    rows = result["rows"]
    assert [(row["source"][:4], row["stage"]) for row in rows] == [
        (source, stage) for source in ("mha ", "JPEG", "phan") for stage in ("loader", "training")
    ]
    assert result["device"]
    for row, line in zip(rows, done.stdout.splitlines()[1:], strict=True):
        assert f"{row['clips_per_s']:.3f}" in line
        assert row["clips_per_s"] > 0 and row["rss_gb"] >= row["pss_gb"] > 0.1 and row["cuda_gb"] == 0
    mha, stock, phantom = rows[::2]
    assert mha["disk_mb"] == pytest.approx(4 * 4 * 128 * 128 * 2 / 1e6, rel=0.05)  # cases, frames, px, image and mask
    assert 0 < stock["disk_mb"] < mha["disk_mb"] and phantom["disk_mb"] == 0
