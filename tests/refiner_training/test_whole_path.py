"""From phantom cases to scores: every command of docs/how-to/train-the-refiner.md, on a CPU."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from disc_dataset import RESOURCES, plan, train

from cinetrack.bundle import open_bundle
from cinetrack.cli import refiner
from cinetrack.cli.main import main, parse

HOW_TO = Path(__file__).resolve().parents[2] / "docs/how-to"
GUIDE = (HOW_TO / "train-the-refiner.md").read_text(encoding="utf-8")


def commands(block: str) -> list[list[str]]:
    lines = block.replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if "cinetrack " in line]


BLOCKS = [commands(block) for block in re.findall(r"```bash\n(.*?)```", GUIDE, flags=re.DOTALL)]


@pytest.mark.slow
def test_the_guides_first_block_runs_from_phantom_to_scores(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "resources").symlink_to(RESOURCES)
    for words in BLOCKS[0]:
        assert words[0] == "cinetrack"
        assert main(words[1:]) == 0, words
    assert {words[2] for words in BLOCKS[0] if words[1] == "refiner"} == set(refiner.ACTIONS) - {"split"}
    rows = json.loads((tmp_path / "metrics.json").read_text())["results"]
    assert len(rows) == 6
    record = json.loads((tmp_path / "predictions" / rows[0]["case_id"] / "prediction.json").read_text())
    assert record["seconds"]["stages"]["nnunet redraw"] > 0
    ranking = json.loads((tmp_path / "crossvalidation/crossvalidation.json").read_text())
    assert len(ranking["candidates"]) == 2


@pytest.mark.parametrize("words", [words for block in BLOCKS for words in block], ids=" ".join)
def test_every_command_of_the_guide_is_one_that_the_parser_takes(words):
    arguments = words[words.index("cinetrack") + 1 :]
    assert parse(arguments).command == arguments[0]


def test_the_guide_names_every_action():
    pages = GUIDE + (HOW_TO / "keep-the-refiner-honest.md").read_text(encoding="utf-8")
    for action in refiner.ACTIONS:
        assert f"refiner {action}" in pages


@pytest.mark.parametrize(
    "window", [1, pytest.param(10, marks=pytest.mark.slow), pytest.param(15, marks=pytest.mark.slow)]
)
def test_other_windows_work_from_prepare_to_predict(discs, tmp_path, window):
    raw, bundle = tmp_path / "nnUNet_raw", tmp_path / "bundle"
    tracker = ["--tracker", str(RESOURCES / "registration")]
    options = ["--window", str(window), "--every", "3", "-o", str(raw)]
    assert main(["refiner", "prepare", "--data", str(discs), *tracker, *options]) == 0
    plan(raw)
    train(raw, "--folds", "0", "--epochs", "1")
    assert main(["refiner", "bundle", str(raw), *tracker, "--folds", "0", "--mirroring", "off", "-o", str(bundle)]) == 0
    assert open_bundle(bundle).method.nnunet.window == window
    predict = ["predict", str(discs / "A_001"), "-o", str(tmp_path / "out"), "--model", str(bundle)]
    assert main([*predict, "--device", "cpu"]) == 0
    assert "then nnunet" in json.loads((tmp_path / "out/A_001/prediction.json").read_text())["method"]
