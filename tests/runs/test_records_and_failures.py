"""The record of a prediction, failures and their exit code, progress, and what is checked before the work."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from prediction_writing import write_prediction

from cinetrack.cli.main import main
from cinetrack.errors import InputError
from cinetrack.runs import progress as progress_module
from cinetrack.runs.failure import Failure, failure_of, report_failures
from cinetrack.runs.outputs import check_output_file, check_output_folder, find_temporary_folder
from cinetrack.runs.progress import Progress
from cinetrack.runs.record import RECORD_NAME, read_record
from cinetrack.sequence import CineSequence
from cinetrack.sequence.trackrad_dataset import write_case

ROOT = Path(__file__).resolve().parents[2]
STATIC = str(ROOT / "resources/static")


def test_a_record_of_any_stages_and_an_older_one_are_read(tmp_path):
    stages = {"stabilise": 1.5, "outline": 0.25, "sam2": 3.0, "nnunet": 2.0}
    seconds = {"loading": 1.0, "stages": stages, "writing": 0.5, "total": 8.25}
    (tmp_path / RECORD_NAME).write_text(json.dumps({"case_id": "A", "seconds": seconds}))
    record = read_record(tmp_path)
    assert record.stage_seconds == stages and record.total_seconds == 8.25 and record.case_id == "A"
    old = {"loading": 1.0, "tracking": 3.0, "refining": 2.0, "writing": 0.5, "total": 6.5}
    (tmp_path / RECORD_NAME).write_text(json.dumps({"seconds": old}))
    record = read_record(tmp_path)
    assert record.stage_seconds == {"tracking": 3.0, "refining": 2.0} and record.total_seconds == 6.5
    (tmp_path / RECORD_NAME).write_text(json.dumps({"seconds": {"stages": {"sam2": "long"}}}))
    with pytest.raises(InputError, match="expected the seconds of sam2 to be a number, found 'long'"):
        read_record(tmp_path)
    assert read_record(tmp_path / "nowhere").total_seconds is None


def test_seconds_of_every_stage_reach_the_metrics(dataset, tmp_path):
    assert main(["predict", str(dataset), "-o", str(tmp_path / "out"), "--model", STATIC]) == 0
    metrics = tmp_path / "metrics.json"
    assert main(["evaluate", str(tmp_path / "out"), "--truth", str(dataset), "-o", str(metrics)]) == 0
    stages = json.loads(metrics.read_text())["cinetrack"]["cases"]["A_001"]["stage_seconds"]
    assert stages == read_record(tmp_path / "out/A_001").stage_seconds and len(stages) > 1


def test_the_exit_code_is_that_of_the_worst_failure(capsys):
    bad, ours = failure_of("A", InputError("a.mha: cut off")), failure_of("B", ValueError("oh"))
    assert (bad, ours) == (Failure("A", "a.mha: cut off", True), Failure("B", "ValueError: oh", False))
    assert [report_failures(some) for some in ([], [bad], [ours], [bad, ours])] == [0, 2, 1, 1]
    assert "error: A: a.mha: cut off\nerror: B: ValueError: oh\n" in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_a_bar_on_a_terminal_and_a_line_now_and_then_in_a_log(monkeypatch):
    clock = iter([0.0, 4.0, 9.9, 10.0, 10.0, 15.0, 21.0, 21.0, 0.0])
    monkeypatch.setattr(progress_module, "monotonic", lambda: next(clock))
    log = io.StringIO()
    with Progress("case", log) as progress:
        for done in range(5):
            progress(done, 5, f"P{done} frame 3/9")
    assert log.getvalue() == "2 of 5 cases done, now P2 frame 3/9\n4 of 5 cases done, now P4 frame 3/9\n"
    terminal = Terminal()
    with Progress("case", terminal) as progress:
        for done in range(6):
            progress(done, 5)
    assert "5/5" in terminal.getvalue() and "\r" in terminal.getvalue()


@pytest.mark.parametrize("fault", ["two series", "no permission"])
def test_one_unreadable_case_folder_does_not_end_a_dataset(fault, dataset, moving_disc, tmp_path, capsys, monkeypatch):
    disc = CineSequence(moving_disc[0], (1.5, 1.0), 4.0, 0.35, "abdomen")
    bad = write_case(dataset, "C_003", disc, moving_disc[1])
    if fault == "two series":
        shutil.copy(bad / "images/C_003_frames.mha", bad / "images/C_003_frames1.mha")
    else:
        listed = Path.iterdir

        def iterdir(path: Path):
            if path.parent == bad.absolute():
                raise PermissionError(13, "Permission denied")
            return listed(path)

        monkeypatch.setattr(Path, "iterdir", iterdir)  # the tests may run as root, to whom all is permitted
    for name in ("A_001", "B_002", "C_003"):
        write_prediction(tmp_path / "predictions", name, moving_disc[1])
    data, predictions, raw = str(dataset), str(tmp_path / "predictions"), tmp_path / "nnUNet_raw"
    for command in (
        ["predict", data, "-o", str(tmp_path / "out"), "--model", STATIC],
        ["evaluate", predictions, "--truth", data, "-o", str(tmp_path / "metrics.json"), "--workers", "1"],
        ["report", predictions, "--truth", data, "-o", str(tmp_path / "report"), "--workers", "1"],
        ["refiner", "prepare", "--data", data, "--model", STATIC, "-o", str(raw)],
    ):
        assert main(command) == 2
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1 and lines[0].startswith("error: C_003")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["A_001", "B_002"]
    scored = {row["case_id"] for row in json.loads((tmp_path / "metrics.json").read_text())["results"]}
    assert scored == {"A_001", "B_002"}
    assert sorted(path.stem for path in (tmp_path / "report/cases").iterdir()) == ["A_001", "B_002"]
    prepared = list(raw.glob("*/tracked/static/*.json"))
    # A dataset without the case would deal the others to other folds.
    assert [path.stem for path in sorted(prepared)] == ["A_001", "B_002"] and not list(raw.glob("*/dataset.json"))


@pytest.mark.parametrize(
    ("command", "output"),
    [
        (["evaluate", "{predictions}", "--truth", "{data}"], ["-o", "{bad}/metrics.json"]),
        (["evaluate", "{predictions}", "--truth", "{data}"], ["-o", "{folder}"]),
        (["evaluate", "{predictions}", "--truth", "{data}", "-o", "{folder}/m"], ["--frames-csv", "{bad}/f.csv"]),
        (["report", "{predictions}", "--truth", "{data}"], ["-o", "{bad}/report"]),
        (["overlay", "{data}/A_001"], ["-o", "{bad}/a.png"]),
        (["compare", "{folder}/m.json", "{folder}/m.json"], ["-o", "{bad}/tables"]),
        (["predict", "{data}", "--model", STATIC], ["-o", "{bad}/out"]),
        (["phantom", "--cases", "1", "--seed", "1"], ["{bad}/out"]),
        (["refiner", "split", "--data", "{data}"], ["-o", "{bad}/folds.json"]),
        (["refiner", "prepare", "--data", "{data}", "--model", STATIC], ["-o", "{bad}/raw"]),
        (["refiner", "crossvalidate", "{folder}", "--data", "{data}"], ["-o", "{bad}/cv"]),
        (["refiner", "bundle", "{folder}", "--model", "static", "--folds", "0"], ["-o", "{bad}/b"]),
    ],
)
def test_an_output_that_cannot_be_written_is_noticed_before_the_work(
    command, output, dataset, tmp_path, monkeypatch, capsys
):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    names = {"data": dataset, "predictions": tmp_path, "bad": tmp_path / "file", "folder": tmp_path / "folder"}
    monkeypatch.setattr("cinetrack.sequence.image_files.read_series", lambda path: pytest.fail("the work began"))
    monkeypatch.setattr("cinetrack.sequence.image_files.read_masks", lambda path: pytest.fail("the work began"))
    assert main([word.format(**names) for word in [*command, *output]]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and ("writable output folder" in line or "found a folder" in line)
    assert not list((tmp_path / "folder").iterdir())


def test_a_folder_on_a_full_or_read_only_file_system_is_not_writable(tmp_path, monkeypatch):
    check_output_folder(tmp_path / "new/folder")
    check_output_file(tmp_path / "new/file.json")
    assert not list(tmp_path.iterdir())

    def refuse(**_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(InputError, match=r"new: expected a writable output folder.*\(Read-only file system\)"):
        check_output_folder(tmp_path / "new")


def test_without_a_folder_for_temporary_files_the_output_serves_or_one_line_says_so(
    tmp_path, platform_input, monkeypatch, capsys
):
    def none_usable():
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_get_default_tempdir", none_usable)
    assert main(["evaluate", str(tmp_path), "--truth", str(tmp_path), "-o", str(tmp_path / "m.json")]) == 2
    assert "error: expected a writable folder for temporary files" in capsys.readouterr().err
    with pytest.raises(InputError):
        find_temporary_folder()

    from cinetrack.pipeline.container import run

    before = sorted([*(path.name for path in tmp_path.iterdir()), "output"])
    assert run(platform_input, tmp_path / "output", Path(STATIC), "cpu") == 0
    output = tmp_path / "output"
    assert [path.name for path in output.rglob("*") if path.is_file()] == ["output.mha"]
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_full_disk_is_one_line_without_a_traceback_and_our_failure(caplog):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "out/A_001/output.mha")
    failure = failure_of("A_001", full)
    assert failure == Failure("A_001", "out/A_001/output.mha: No space left on device", is_input=False)
    assert caplog.text == ""
