"""One method, whoever runs it: session, case, `cinetrack predict` and `cinetrack propagate` give the same masks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cinetrack import MaskPrompt, load_model
from cinetrack.cli.main import main
from cinetrack.labelling.given_prompts import GivenPrompt
from cinetrack.labelling.label import Label, LabelMeta
from cinetrack.labelling.label_book import LabelBook
from cinetrack.labelling.store import open_files
from cinetrack.sequence import find_cases
from cinetrack.sequence.image_files import read_masks, read_series


@pytest.fixture(params=["default", "registration", "paper"])
def bundle(request) -> str:
    return str(request.getfixturevalue("paper_bundle")) if request.param == "paper" else request.param


def submit(store: Path, case_id: str, mask: np.ndarray, frame_count: int) -> None:
    meta = LabelMeta(case_id, case_id, "label", "anna", "2026-01-01", "0.1.0", frame_count, "x", "f" * 64, "grabcut")
    label = Label(meta, mask.astype(np.uint8), [GivenPrompt(0, 1, MaskPrompt(mask))], [None])
    LabelBook(open_files(str(store))).submit(label, 0)


def test_session_case_predict_and_propagate_give_the_same_masks(bundle, dataset, tmp_path):
    [files] = [case for case in find_cases(dataset) if case.case_id == "A_001"]
    case = files.read_case().case
    frames = case.sequence.frames
    model = load_model(bundle, "cpu")

    session = model.start(frames[0], case.first_mask, spacing_mm=case.sequence.spacing_mm)
    streamed = [session.results[0].mask] + [session.step(frame).mask for frame in frames[1:]]
    assert np.all([mask.any() for mask in streamed])

    np.testing.assert_array_equal(streamed, [frame.mask for frame in model.track(case)])

    words = [dataset / "A_001", "-o", tmp_path / "out", "--model", bundle, "--device", "cpu"]
    assert main(["predict", *map(str, words)]) == 0
    written, _ = read_masks(tmp_path / "out/A_001/images/mri-linac-series-targets/output.mha")
    np.testing.assert_array_equal(streamed, written)
    record = json.loads((tmp_path / "out/A_001/prediction.json").read_text())
    assert list(record["seconds"]["stages"]) == list(session.seconds)

    submit(tmp_path / "store", "A_001", case.first_mask, len(frames))
    words = [dataset, "--store", tmp_path / "store", "-o", tmp_path / "pseudo", "--model", bundle, "--device", "cpu"]
    assert main(["propagate", *map(str, words)]) == 0
    propagated, _ = read_series(tmp_path / "pseudo/A_001/masks.mha")
    np.testing.assert_array_equal(streamed, propagated == 1)
