"""Two people never get the same sequence, patients are drawn evenly, and a lease does not outlive its holder."""

from __future__ import annotations

import dataclasses
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from cinetrack.labelling.label import Label, LabelMeta
from cinetrack.labelling.label_book import Flag, LabelBook
from cinetrack.labelling.leases import Leases
from cinetrack.labelling.store import open_files
from cinetrack.labelling.work_queue import Progress, WorkQueue
from cinetrack.sequence import CaseFiles

# A has one series, B nine, C two.
CASES = [
    CaseFiles(patient, Path(patient), Path(patient) / f"{scan}.mha", scan)
    for patient, scans in (("A", [""]), ("B", ["", *"23456789"]), ("C", ["", "2"]))
    for scan in scans
]


class Clock:
    time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(tmp_path, clock) -> WorkQueue:
    files = open_files(str(tmp_path))
    return WorkQueue(CASES, LabelBook(files), Leases(files, 100.0, clock))


def finish(queue: WorkQueue, case_id: str, user: str = "anna", kind: str = "label", time: str = "2026-01-01") -> None:
    patient = queue.cases[case_id].patient_id
    meta = LabelMeta(case_id, patient, kind, user, time, "0.1.0", 50, "default", "f" * 64, "grabcut")
    queue._book.submit(Label(meta, None if kind == "bad_image" else np.ones((2, 2), np.uint8)))


def test_patients_are_drawn_evenly_however_many_series_they_have(queue):
    rng = np.random.default_rng(1)
    drawn = Counter()
    for _ in range(90):
        case = queue.draw("anna", rng)
        drawn[case.patient_id] += 1
        queue.close(case.case_id, "anna")
    assert min(drawn[patient] for patient in "ABC") > 15  # 30 expected, standard deviation 4.5


def test_every_patient_gets_a_label_before_any_gets_two(queue):
    rng = np.random.default_rng(2)
    for expected in ("ABC", "BC"):  # A has only one series
        patients = set()
        for _ in expected:
            case = queue.draw("anna", rng)
            patients.add(case.patient_id)
            finish(queue, case.case_id)
            queue.close(case.case_id, "anna")
        assert patients == set(expected)


def test_the_queue_ends_when_all_sequences_are_done(queue):
    for case in CASES:
        finish(queue, case.case_id, kind="bad_image" if case.scan == "2" else "label")
    assert queue.draw("anna", np.random.default_rng(0)) is None
    assert queue.progress() == Progress(sequences=12, patients=3, frames=10 * 50)


def test_people_drawing_at_once_never_get_the_same_sequence(store_address):
    got: list[str] = []

    def draw(number: int) -> None:
        files = open_files(store_address)
        queue = WorkQueue(CASES, LabelBook(files), Leases(files))
        for turn in range(2):
            got.append(queue.draw(f"user{number}.{turn}", np.random.default_rng(0)).case_id)  # same seed: same wishes

    threads = [threading.Thread(target=draw, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == len(set(got)) == 6


def test_a_lease_is_free_again_when_it_expires_or_is_given_back(queue, clock):
    assert queue.open("A", "anna") and not queue.open("A", "ben")
    clock.time += 101
    assert queue.open("A", "ben") and not queue.open("A", "anna")
    queue.close("A", "anna")  # not hers any more
    assert not queue.open("A", "anna")
    queue.close("A", "ben")
    assert queue.open("A", "anna")


def test_work_renews_a_lease_and_leaves_one_small_file(queue, clock, tmp_path):
    for _ in range(10):
        assert queue.open("A", "anna")
        clock.time += 60
    assert not queue.open("A", "ben")
    assert len(list((tmp_path / "leases" / "A").iterdir())) == 1


def test_a_fresh_lease_is_kept_without_asking_the_store(queue, clock, monkeypatch):
    assert queue.open("A", "anna")
    clock.time += 40
    monkeypatch.setattr(queue._leases._files, "names", lambda folder: pytest.fail("asked the store"))
    assert queue.open("A", "anna")


def test_a_slow_writer_whose_number_was_removed_in_the_meantime_gets_no_lease(queue, clock, monkeypatch):
    assert queue.open("A", "anna")
    clock.time += 101  # run out
    slow, create = queue._leases._files, queue._leases._files.create
    with monkeypatch.context() as patch:

        def late(last, files):
            patch.setattr(slow, "create", create)
            assert queue.open("A", "ben")
            queue.close("A", "ben")
            assert queue.open("A", "carl")
            create(last, files)

        patch.setattr(slow, "create", late)
        assert not queue.open("A", "anna")
    assert queue.holder_of("A") == "carl" and not queue.open("A", "anna")


def test_a_holder_who_renews_twice_at_once_keeps_the_lease(queue, clock, monkeypatch):
    assert queue.open("A", "anna")
    clock.time += 60
    files, create = queue._leases._files, queue._leases._files.create
    with monkeypatch.context() as patch:

        def late(last, contents):
            patch.setattr(files, "create", create)
            assert queue.open("A", "anna")
            create(last, contents)

        patch.setattr(files, "create", late)
        assert queue.open("A", "anna")
    assert queue.holder_of("A") == "anna"


def test_a_sequence_whose_label_is_damaged_is_not_handed_out(queue):
    queue._book.files.create("labels/A/0001.json", {"labels/A/0001.json": b"?"})
    rng = np.random.default_rng(0)
    drawn = {queue.draw(f"user{number}", rng).case_id for number in range(len(CASES) - 1)}
    assert "A" not in drawn and queue.draw("anna", rng) is None
    assert "A" not in queue._leases.held()


def test_status_says_what_became_of_every_sequence(queue):
    finish(queue, "A", "anna")
    finish(queue, "C", "ben", "bad_image")
    finish(queue, "B_scan2", "ben")
    queue._book.flag("B_scan2", Flag(1, (3,), "vanished"))
    queue.open("B", "carl")
    status = queue.status()
    assert status["A"] == ("labelled", "anna") and status["C"] == ("bad image", "ben")
    assert status["B_scan2"] == ("flagged", "ben") and status["B"] == ("in work", "carl")
    assert status["C_scan2"] == ("open", "")


def test_progress_and_the_last_one_are_told_apart_by_user(queue):
    finish(queue, "A", "anna", time="2026-01-01T10")
    finish(queue, "B", "ben", time="2026-01-01T11")
    finish(queue, "C", "anna", time="2026-01-01T12")
    assert queue.progress("anna") == Progress(2, 2, 100) and queue.progress() == Progress(3, 3, 150)
    assert queue.latest_of("anna").meta.case_id == "C" and queue.latest_of("carl") is None
    assert dataclasses.asdict(queue.progress("carl")) == {"sequences": 0, "patients": 0, "frames": 0}


@pytest.mark.parametrize(
    "damage",
    [b"1" * 5000, b"[]", b"{}", b"\xff", b'{"case_id": "A", "holder": "x", "expires": "soon"}',
     b'{"case_id": "A", "holder": "x", "expires": ' + b"1" * 400 + b"}"],
)  # fmt: skip
def test_a_damaged_lease_holds_nothing_and_stops_nobody(tmp_path, clock, damage):
    files = open_files(str(tmp_path))
    files.create("leases/A/0003.json", {"leases/A/0003.json": damage})
    files.create("leases/.DS_Store", {"leases/.DS_Store": damage})
    leases = Leases(files, now=clock)
    assert leases.held() == {} and leases.holder_of("A") is None
    assert leases.take("A", "anna") and leases.held() == {"A": "anna"}
    assert not leases.take("A", "ben")
