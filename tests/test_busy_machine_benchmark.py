"""The benchmark of busy machines tracks frames by the method of today."""

from __future__ import annotations

import importlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_it_times_the_frames_of_the_shipped_example(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    benchmark = importlib.import_module("busy_machine")
    assert benchmark.track(ROOT / "resources/static", frames=6) > 0
