"""`cinetrack propagate` as users run it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cinetrack.labelling.given_prompts import GivenPrompt
from cinetrack.labelling.label import Label, LabelMeta
from cinetrack.labelling.label_book import LabelBook
from cinetrack.labelling.store import open_files
from cinetrack.sequence import CineSequence
from cinetrack.sequence.image_files import read_series
from cinetrack.sequence.trackrad_dataset import write_case
from cinetrack.tracking import MaskPrompt

REPOSITORY = Path(__file__).resolve().parents[2]


def command(*arguments, **environment) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "cinetrack", "propagate", *map(str, arguments)],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen) -> tuple[int, str, str]:
    stdout, stderr = process.communicate(timeout=120)
    return process.returncode, stdout, stderr


def submit(store, case_id: str, masks: np.ndarray, frame_count: int, after: int = 0) -> None:
    meta = LabelMeta(case_id, case_id, "label", "anna", "2026-01-01", "0.1.0", frame_count, "x", "f" * 64, "grabcut")
    picture = masks.astype(np.uint8)
    LabelBook(open_files(str(store))).submit(
        Label(meta, picture, [GivenPrompt(0, 1, MaskPrompt(masks))], [None]), after
    )


@pytest.fixture
def store(tmp_path, dataset, moving_disc):
    for case_id in ("A_001", "B_002"):
        submit(tmp_path / "store", case_id, moving_disc[1][0], 8)
    return tmp_path / "store"


def test_every_labelled_sequence_becomes_masks_scores_and_meta_data(tmp_path, dataset, store, moving_disc):
    meta = LabelMeta("C", "C", "bad_image", "anna", "2026-01-01", "0.1.0", 8, "x", "f" * 64, "grabcut")
    write_case(dataset, "C", CineSequence(moving_disc[0], (1.5, 1.0), 4.0, 1.5, "pelvis"), None)
    LabelBook(open_files(str(store))).submit(Label(meta))
    out = tmp_path / "pseudo"
    code, stdout, stderr = finish(command(dataset, "--store", store, "-o", out, "--device", "cpu"))
    assert code == 0, stderr
    summary = json.loads(stdout)
    assert summary["sequences"] == 2 and summary["frames"] == 16 and summary["frames_per_second"] > 0
    assert sorted(path.name for path in out.iterdir()) == ["A_001", "B_002"]
    for case_id in ("A_001", "B_002"):
        assert sorted(path.name for path in (out / case_id).iterdir()) == ["masks.mha", "meta.json", "scores.json"]
        masks, geometry = read_series(out / case_id / "masks.mha")
        frames, frames_geometry = read_series(dataset / case_id / "images" / f"{case_id}_frames.mha")
        assert masks.shape == frames.shape and masks.dtype == np.uint8 and geometry == frames_geometry
        np.testing.assert_array_equal(masks[0], moving_disc[1][0])
        assert (masks[7] == 1)[moving_disc[1][7]].mean() > 0.6
        scores = json.loads((out / case_id / "scores.json").read_text())
        assert scores["objects"] == 1 and np.shape(scores["object_score"]) == np.shape(scores["predicted_iou"]) == (
            8,
            1,
        )
        meta = json.loads((out / case_id / "meta.json").read_text())
        assert meta["accepted_frames"] == list(range(8)) and meta["label"]["user"] == "anna"
        assert meta["case_id"] == case_id and meta["bundle"] == "sam2-phantom" and len(meta["bundle_fingerprint"]) == 64


def test_a_second_run_does_only_what_is_new(tmp_path, dataset, store, moving_disc):
    out = tmp_path / "pseudo"
    arguments = (dataset, "--store", store, "-o", out, "--model", REPOSITORY / "resources" / "static")
    assert finish(command(*arguments))[0] == 0
    before = (out / "A_001" / "masks.mha").stat().st_mtime_ns
    submit(store, "B_002", np.roll(moving_disc[1][0], 5, axis=0), 8, after=1)
    code, stdout, _ = finish(command(*arguments))
    assert code == 0 and json.loads(stdout)["sequences"] == 1 and json.loads(stdout)["finished_before"] == 1
    assert (out / "A_001" / "masks.mha").stat().st_mtime_ns == before
    np.testing.assert_array_equal(read_series(out / "B_002" / "masks.mha")[0][3], np.roll(moving_disc[1][0], 5, axis=0))
    code, _, stderr = finish(
        command(dataset, "--store", store, "-o", out, "--model", REPOSITORY / "resources/registration")
    )
    assert code == 2 and "expected pseudo-labels of the bundle registration" in stderr and "--overwrite" in stderr


def test_others_hidden_files_and_folders_stay_and_the_store_is_only_read(tmp_path, dataset, store):
    out = tmp_path / "pseudo"
    (out / "A_001/.ipynb_checkpoints").mkdir(parents=True)
    (out / "A_001/.DS_Store").touch()
    shutil.rmtree(store / ".incoming")
    before = sorted(store.rglob("*"))
    arguments = (dataset, "-o", out, "--model", REPOSITORY / "resources" / "static")
    code, _, stderr = finish(command(*arguments, "--store", store))
    assert code == 0, stderr
    names = [".DS_Store", ".ipynb_checkpoints", "masks.mha", "meta.json", "scores.json"]
    assert sorted(path.name for path in (out / "A_001").iterdir()) == names
    assert sorted(store.rglob("*")) == before
    code, _, stderr = finish(command(*arguments, "--store", tmp_path / "nowhere"))
    assert code == 2 and "nowhere: expected a folder of labels, found none" in stderr
    assert not (tmp_path / "nowhere").exists()


def test_a_label_that_cannot_be_read_does_not_pass_for_none(tmp_path, dataset, store):
    (store / "labels/A_001/0001.json").write_text("1" * 5000)
    out = tmp_path / "pseudo"
    arguments = (dataset, "--store", store, "-o", out, "--model", REPOSITORY / "resources" / "static")
    code, stdout, stderr = finish(command(*arguments))
    assert code == 2 and "error: A_001: labels/A_001/0001.json: expected a label's entry" in stderr, stderr
    assert json.loads(stdout)["failed"] == 1 and (out / "B_002/meta.json").exists()


def test_processes_share_the_work_and_one_bad_sequence_stops_nothing(tmp_path, dataset, store, moving_disc):
    series = dataset / "A_001" / "images" / "A_001_frames.mha"
    series.write_bytes(series.read_bytes()[:-100])
    out = tmp_path / "pseudo"
    arguments = (dataset, "--store", store, "-o", out, "--model", REPOSITORY / "resources" / "static")
    processes = [command(*arguments, RANK=str(rank), WORLD_SIZE="2") for rank in range(2)]
    (first, _, stderr), (second, _, _) = (finish(process) for process in processes)
    assert first == 2 and "error: A_001" in stderr and second == 0
    assert (out / "B_002" / "meta.json").exists() and not (out / "A_001" / "meta.json").exists()


def test_after_kill_9_nothing_is_lost_or_done_twice(tmp_path, moving_disc):
    frames, masks = moving_disc
    long = np.tile(frames, (40, 1, 1))
    for case_id in ("A", "B", "C"):
        write_case(tmp_path / "data", case_id, CineSequence(long, (1.5, 1.0), 4.0, 1.5, "pelvis"), None)
        submit(tmp_path / "store", case_id, masks[0], len(long))
    out = tmp_path / "pseudo"
    arguments = (tmp_path / "data", "--store", tmp_path / "store", "-o", out)
    arguments = (*arguments, "--model", REPOSITORY / "resources" / "registration")
    process = command(*arguments)
    deadline = time.monotonic() + 60
    while not (out / "A" / "meta.json").exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (out / "C" / "meta.json").exists()  # it was in the middle of the work
    done_before = {p.parent.name: p.stat().st_mtime_ns for p in out.glob("*/meta.json")}
    code, stdout, stderr = finish(command(*arguments))
    assert code == 0, stderr
    assert json.loads(stdout)["finished_before"] == len(done_before)
    for case_id, moment in done_before.items():
        assert (out / case_id / "meta.json").stat().st_mtime_ns == moment
    for case_id in "ABC":
        assert sorted(path.name for path in (out / case_id).iterdir()) == ["masks.mha", "meta.json", "scores.json"]
        found, _ = read_series(out / case_id / "masks.mha")
        np.testing.assert_array_equal(found, read_series(out / "A" / "masks.mha")[0])


def test_what_others_keep_in_a_sequences_folder_stays(tmp_path, dataset, store):
    out = tmp_path / "pseudo"
    (out / "A_001" / ".ipynb_checkpoints").mkdir(parents=True)
    for name in (".DS_Store", ".nfs000000012", ".masks.mha"):
        (out / "A_001" / name).write_text("another's")
    left = out / "A_001" / ".masks.0123abcd.cinetrack-draft.mha"
    left.write_text("a killed process's")
    code, _, stderr = finish(
        command(dataset, "--store", store, "-o", out, "--model", REPOSITORY / "resources" / "static")
    )
    assert code == 0, stderr
    theirs = [".DS_Store", ".ipynb_checkpoints", ".masks.mha", ".nfs000000012"]
    found = sorted(path.name for path in (out / "A_001").iterdir())
    assert found == [*theirs, "masks.mha", "meta.json", "scores.json"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "--store", "s"], "nowhere: expected a TrackRAD2025 dataset"),
        (["{dataset}", "--store", "magic://x"], "magic://x: expected a URL"),
        (["{dataset}", "--store", "s", "--model", "nowhere"], "nowhere: expected a model bundle"),
    ],
)
def test_bad_arguments_are_one_line_and_exit_code_2(tmp_path, dataset, arguments, message):
    (tmp_path / "s").mkdir()
    filled = [str(tmp_path / "s") if a == "s" else a.format(dataset=dataset) for a in arguments]
    code, _, stderr = finish(command(*filled, "-o", tmp_path / "out"))
    assert code == 2 and message in stderr and "Traceback" not in stderr


MEASURE = """
import sys
from cinetrack.cli.main import main
code = main(["propagate", *sys.argv[1:]])
# Not getrusage, whose peak a process inherits from the one that started it.
print(next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")))
sys.exit(code)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
def test_thousands_of_frames_need_no_more_memory_than_a_few(tmp_path):
    mask = np.zeros((200, 200), bool)
    mask[60:90, 80:120] = True
    peaks = []
    for count in (60, 3000):
        frames = np.tile(np.arange(200, dtype=np.uint16), (count, 200, 1))
        write_case(tmp_path / f"d{count}", "P", CineSequence(frames, (1.0, 1.0), 8.0, 0.35, "thorax"), None)
        submit(tmp_path / f"s{count}", "P", mask, count)
        arguments = [tmp_path / f"d{count}", "--store", tmp_path / f"s{count}", "-o", tmp_path / f"o{count}"]
        arguments += ["--model", REPOSITORY / "resources" / "static"]
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, *map(str, arguments)],
            cwd=REPOSITORY, capture_output=True, text=True, check=True,
        )  # fmt: skip
        peaks.append(int(done.stdout.splitlines()[-1]))
    assert peaks[1] - peaks[0] < 60e6  # the long series is 240 MB, its masks 120 MB
