"""A source or a post-processing step is added as one file."""

from __future__ import annotations

import importlib
import json
import sys

import numpy as np
import pytest

from cinetrack import load_model
from cinetrack.bundle import open_bundle
from cinetrack.errors import BundleError
from cinetrack.tracking import kinds

BRIGHT = '''
"""What is brighter than the level is the target."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cinetrack.settings import Settings, setting
from cinetrack.tracking.evidence.source import Evidence


@dataclass(frozen=True)
class BrightSettings(Settings):
    kind: ClassVar[str] = "bright"
    on_device: ClassVar[bool] = False
    files: ClassVar[tuple[str, ...]] = ()

    level: float = setting(100.0, low=0, unit="grey values", help="from which on a pixel is the target's")

    def load(self, folder, device):
        return Bright(self.level)


class Bright:
    name, weight, limit, region_px = "bright", 1.0, 8.0, None
    decodes = remembers = False
    precision = "float32"

    def __init__(self, level):
        self._level = level

    def target(self):
        return self

    def prompt(self, view, prompt):
        return None

    def log_odds(self, view):
        return Evidence((view.pixels - self._level).astype(np.float32))

    def copy(self):
        return self
'''
MIRROR = '''
"""A step that turns masks upside down."""

from dataclasses import dataclass
from typing import ClassVar

from cinetrack.settings import Settings


@dataclass(frozen=True)
class MirrorSettings(Settings):
    kind: ClassVar[str] = "mirror"
    on_device: ClassVar[bool] = False
    files: ClassVar[tuple[str, ...]] = ()
    name: ClassVar[str] = "mirror"

    def load(self, folder, device):
        return self

    def start(self, frame, mask, spacing_mm):
        return self

    def step(self, frame, mask):
        return mask[::-1].copy()

    def copy(self):
        return self
'''
MANIFEST = {
    "format": 2,
    "name": "bright",
    "stabilisation": None,
    "sources": [{"kind": "bright", "level": 50}],
    "postprocessing": [{"kind": "mirror"}],
    "files": {},
}


@pytest.fixture
def strangers(tmp_path, monkeypatch):
    """The two files, where a package's modules are looked for."""
    for package, name, text in (("evidence", "bright", BRIGHT), ("postprocessing", "mirror", MIRROR)):
        folder = tmp_path / package
        folder.mkdir()
        (folder / f"{name}.py").write_text(text)
        module = importlib.import_module(f"cinetrack.tracking.{package}")
        monkeypatch.setattr(module, "__path__", [*module.__path__, str(folder)])
    kinds.kinds.cache_clear()
    yield
    kinds.kinds.cache_clear()
    for name in ("evidence.bright", "postprocessing.mirror"):
        sys.modules.pop(f"cinetrack.tracking.{name}", None)


def write(folder, **changes):
    folder.mkdir()
    (folder / "bundle.json").write_text(json.dumps({**MANIFEST, **changes}))
    return folder


def test_the_kinds_that_come_with_the_code():
    assert sorted(kinds.source_kinds()) == ["nnunet", "outline", "sam2"]
    assert sorted(kinds.postprocessing_kinds()) == ["fill_holes", "nnunet"]


def test_a_strangers_source_and_step_are_found_and_run(strangers, tmp_path):
    assert "bright" in kinds.source_kinds() and "mirror" in kinds.postprocessing_kinds()
    folder = write(tmp_path / "bundle")
    frame = np.zeros((40, 30))
    frame[5:9, 10:20] = 60
    session = load_model(folder).start(frame, frame > 0)
    result = session.step(frame)
    np.testing.assert_array_equal(result.mask, (frame > 0)[::-1])
    assert result.logits.max() == 10 and set(session.seconds) == {"stabilisation", "bright", "fusion", "mirror"}


def test_a_strangers_source_counts_beside_the_others(strangers, tmp_path):
    folder = write(tmp_path / "bundle", sources=[{"kind": "bright", "level": 50}, {"kind": "outline", "weight": 4}])
    mask = np.zeros((40, 30), bool)
    mask[10:20, 10:20] = True
    frame = np.full(mask.shape, 90.0)
    result = load_model(folder).start(frame, mask).step(frame)
    assert result.logits[15, 15] == 8 + 4 * 4.5  # at its limit, and at the outline's distance


def test_its_settings_are_checked_and_unknown_kinds_answered_with_the_known_ones(strangers, tmp_path):
    with pytest.raises(
        BundleError, match=r"sources\[0\].level: expected a number, 0 or more \(grey values\), found -1"
    ):
        open_bundle(write(tmp_path / "low", sources=[{"kind": "bright", "level": -1}]))
    with pytest.raises(BundleError, match="expected one of .*outline.*bright.*, found 'dark'"):
        open_bundle(write(tmp_path / "dark", sources=[{"kind": "dark"}]))


def test_without_the_file_the_kind_is_unknown(tmp_path):
    with pytest.raises(BundleError, match=r"sources\[0\].kind: expected one of .*outline.*, found 'bright'"):
        open_bundle(write(tmp_path / "bundle"))
