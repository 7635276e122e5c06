"""The how-to pages' commands run, in the order of the page, on a small export as the page describes it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pydicom")
pytest.importorskip("highdicom")

from dicom_files import Cine, random_frames, write  # noqa: E402

from cinetrack.cli.main import main  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = REPOSITORY / "docs" / "how-to"
FIRST = "from-an-mr-linac-export-to-a-tracked-case"
QUICK_MODEL = ["--model", str(REPOSITORY / "resources" / "static")]  # which model tracks is not these pages' matter


def commands(page: str) -> list[list[str]]:
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line]
    assert lines and all(line.startswith("cinetrack ") for line in lines)
    return [shlex.split(line)[1:] for line in lines]


def run(words: list[str]) -> None:
    assert main(words + (QUICK_MODEL if words[0] == "predict" else [])) == 0, words


@pytest.fixture
def export_folder(tmp_path, monkeypatch):
    """`export`: a cine, and a structure set with two ROIs outlined on its first frame."""
    from test_dicom_masks import HOLE, SQUARE, write_structures

    cine = Cine(random_frames())
    write(cine, tmp_path / "export" / "cine")
    contours = {"GTV": [(0, SQUARE)], "lung": [(0, HOLE)]}
    write_structures(tmp_path / "export" / "rt.dcm", cine, contours, names=("GTV", "lung"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_from_an_export_to_a_tracked_case(export_folder):
    for words in commands(FIRST):
        run(words)
    lines = (export_folder / "results" / "case_001_trajectory.csv").read_text().splitlines()
    assert lines[0].startswith("frame,time_s,target,si_mm") and len(lines) == 7


def test_the_page_into_slicer(export_folder):
    for words in commands(FIRST)[:3]:
        run(words)
    for words in commands("into-3d-slicer"):
        run(words)
    written = {path.name for path in (export_folder / "slicer").iterdir()}
    assert {"case_001_frames.seq.nrrd", "case_001.seq.nrrd", "case_001.seg.dcm", "case_001.nii.gz"} <= written
    from cinetrack.sequence.trackrad_dataset import find_cases

    (there,), (back,) = find_cases(export_folder / "cases"), find_cases(export_folder / "from-slicer")
    np.testing.assert_array_equal(back.read_sequence()[0].frames, there.read_sequence()[0].frames)
    np.testing.assert_array_equal(back.read_case().case.first_mask, there.read_case().case.first_mask)


def test_the_page_back_to_the_planning_system(export_folder):
    for words in commands("back-to-the-planning-system"):
        run(words)
    assert {path.name for path in (export_folder / "back").iterdir()} == {"case_001.rtstruct.dcm", "case_001.seg.dcm"}


@pytest.mark.parametrize(
    "page", sorted(path.stem for path in PAGES.glob("*.md") if "cinetrack import" in path.read_text())
)
def test_options_that_a_page_names_exist(page):
    import argparse

    from cinetrack.cli import export, import_series

    parser = argparse.ArgumentParser()
    import_series.add_arguments(parser)
    other = argparse.ArgumentParser()
    export.add_arguments(other)
    known = {option for each in (parser, other) for action in each._actions for option in action.option_strings}
    named = set(re.findall(r"`(--[a-z-]+)", (PAGES / f"{page}.md").read_text(encoding="utf-8")))
    assert named <= known, named - known
