"""Commands settle how torch's threads share a machine before torch is imported; what the user has set stays."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cinetrack import process_environment
from cinetrack.process_environment import THREADS, settle_threads, usable_cores

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture
def bare(monkeypatch):
    """An environment that says nothing about threads; what is set in it is gone after the test."""
    for name in (THREADS, *process_environment.WAITING_NAMES):
        monkeypatch.setenv(name, "")  # so that monkeypatch puts back what was there
        monkeypatch.delenv(name)
    return monkeypatch


def quota(tmp_path: Path, text: str, period: str | None = None) -> Path:
    """A control group's limit, as version 2 writes it, or with a period as version 1 does."""
    if period is None:
        (tmp_path / "cpu.max").write_text(text)
        return tmp_path / "cpu.max"
    (tmp_path / "cpu.cfs_quota_us").write_text(text)
    (tmp_path / "cpu.cfs_period_us").write_text(period)
    return tmp_path / "cpu.cfs_quota_us"


@pytest.mark.parametrize(
    ("text", "period", "expected"),
    [
        ("200000 100000\n", None, 2),
        ("150000 100000\n", None, 2),
        ("10000 100000\n", None, 1),
        ("max 100000\n", None, 8),
        ("1600000 100000\n", None, 8),
        ("", None, 8),
        ("nonsense", None, 8),
        ("300000\n", "100000\n", 3),
        ("-1\n", "100000\n", 8),
    ],
)
def test_cores_are_those_that_the_container_may_use(bare, tmp_path, text, period, expected):
    bare.setattr(process_environment, "_QUOTAS", (tmp_path / "none", quota(tmp_path, text, period)))
    bare.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert usable_cores() == expected


@pytest.mark.parametrize(("cores", "expected"), [(2, "2"), (64, None)])
def test_threads_are_limited_only_where_not_all_cores_may_be_used(bare, cores, expected):
    bare.setattr(process_environment, "usable_cores", lambda: cores)
    bare.setattr(os, "cpu_count", lambda: 64)
    settle_threads()
    assert os.environ.get(THREADS) == expected


@pytest.mark.parametrize("name", process_environment.WAITING_NAMES)
def test_what_the_user_has_set_is_left_alone(bare, name):
    bare.setenv(name, "7")
    bare.setenv(THREADS, "3")
    settle_threads()
    found = {key: os.environ.get(key) for key in (THREADS, *process_environment.WAITING_NAMES)}
    assert found == {THREADS: "3", **{key: "7" if key == name else None for key in process_environment.WAITING_NAMES}}


@pytest.mark.skipif(sys.platform != "linux", reason="GNU's OpenMP")
def test_the_library_that_torch_brings_has_taken_the_setting(tmp_path):
    """It reads its variables when it is loaded, and prints them then where asked to: nothing had loaded it before."""
    settings = {name: value for name, value in os.environ.items() if name not in process_environment.WAITING_NAMES}
    code = (
        "import sys; from cinetrack.cli.main import main; main(['average', sys.argv[1], '-o', sys.argv[2]]); "
        "assert 'torch' in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "none.pt"), str(tmp_path / "mean.pt")],
        env={**settings, "OMP_DISPLAY_ENV": "VERBOSE", "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
    )
    assert done.returncode == 0, done.stderr
    shown = [line.split("=")[1].strip(" '") for line in done.stderr.splitlines() if "GOMP_SPINCOUNT" in line]
    assert shown and set(shown) == {process_environment.SPINS}
