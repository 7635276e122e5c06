"""benchmarks/refiner_settings.py runs as the docs say and writes what it printed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(*words: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "benchmarks/refiner_settings.py", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_the_benchmark_has_a_row_for_the_tracker_and_for_every_setting(bundle, discs, tmp_path):
    output = tmp_path / "settings.json"
    options = ["--cases", "2", "--tile-step-sizes", "0.5", "1", "--device", "cpu", "-o", str(output)]
    done = run("--model", str(bundle), "--data", str(discs), *options)
    assert done.returncode == 0, done.stderr
    result = json.loads(output.read_text())
    paces = [(row["tile_step_size"], row["mirroring"]) for row in result["rows"]]
    assert paces == [(None, None), (0.5, True), (0.5, False), (1.0, True), (1.0, False)]
    assert (result["cases"], result["frames"], result["sizes"]) == (2, 14, ["72x56"]) and result["device"]
    for row in result["rows"]:
        assert f"{row['dice_similarity_coefficient']:.4f}" in done.stdout
        assert f"| {row['refining_s_per_frame']:.4f} |" in done.stdout
    tracker, *refined = result["rows"]
    assert all(row["hausdorff_distance_95"] != tracker["hausdorff_distance_95"] for row in refined)


def test_a_bundle_without_refiner_is_refused(discs):
    done = run("--model", "resources/static", "--data", str(discs))
    assert done.returncode == 1 and "expected a bundle with a refiner, found none" in done.stderr
