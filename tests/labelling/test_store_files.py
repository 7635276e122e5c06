"""Every back end keeps files once written, and gives a name to exactly one writer."""

from __future__ import annotations

import errno
import os
from pathlib import Path
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cinetrack.errors import InputError
from cinetrack.labelling.store import AlreadyThere, open_files, safe_name
from cinetrack.labelling.store.files import check_name


def test_files_come_back_as_written(store_address):
    files = open_files(store_address)
    content = bytes(range(256)) * 300
    files.create("a/b/last.json", {"a/b/big.bin": content, "a/b/last.json": b"{}"})
    files.create("a/other.json", {"a/other.json": b"2"})
    assert files.names("a") == ["a/b/big.bin", "a/b/last.json", "a/other.json"]
    assert files.names("a/b") == ["a/b/big.bin", "a/b/last.json"]
    assert files.read("a/b/big.bin") == content
    # Another process sees the same.
    assert open_files(store_address).read("a/b/last.json") == b"{}"


def test_a_name_is_given_once(store_address):
    files = open_files(store_address)
    files.create("x/1.json", {"x/1.json": b"first"})
    with pytest.raises(AlreadyThere):
        files.create("x/1.json", {"x/mine.bin": b"?", "x/1.json": b"second"})
    assert files.read("x/1.json") == b"first"


def test_of_many_writers_of_one_name_exactly_one_gets_it(store_address):
    stores = [open_files(store_address) for _ in range(4)]
    outcomes: list[str] = []
    barrier = threading.Barrier(4)

    def write(number: int) -> None:
        barrier.wait()
        try:
            stores[number].create("x/1.json", {f"x/{number}.bin": b"data", "x/1.json": str(number).encode()})
            outcomes.append(str(number))
        except AlreadyThere:
            outcomes.append("refused")

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("refused") == 3
    winner = next(outcome for outcome in outcomes if outcome != "refused")
    assert stores[0].read("x/1.json") == winner.encode() and f"x/{winner}.bin" in stores[0].names("x")


def test_missing_things_are_reported_as_missing(store_address):
    files = open_files(store_address)
    assert files.names("nothing/here") == []
    with pytest.raises(FileNotFoundError):
        files.read("nothing/here.json")
    files.create("a/1.json", {"a/1.json": b"1"})
    files.delete(["a/1.json", "a/2.json", "b/3.json"])
    assert files.names("a") == []


def test_a_write_that_fails_half_way_shows_nothing(tmp_path, monkeypatch):
    files = open_files(str(tmp_path / "store"))
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        files.create("a/1.json", {"a/1.json": b"1"})
    assert files.names("a") == []


def test_a_folder_without_hard_links_is_refused_when_it_is_opened(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(InputError, match="file system with hard links, found Operation not permitted"):
        open_files(str(tmp_path / "store"))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "a/../../x", "a\\b", "./a"])
def test_a_name_cannot_lead_out_of_the_store(name, tmp_path):
    files = open_files(str(tmp_path))
    with pytest.raises(ValueError, match="relative name"):
        files.read(name)


@given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=30))
def test_safe_names_are_usable_and_differ_where_the_texts_do(one, other):
    assert check_name(safe_name(one)) == safe_name(one) and "/" not in safe_name(one)
    assert (safe_name(one) == safe_name(other)) == (one == other)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("magic://bucket/x", "magic://bucket/x: expected a URL that fsspec can open"),
        ("/proc/nothing/here", "expected a folder to keep labels in"),
    ],
)
def test_an_unusable_store_is_refused(address, message):
    with pytest.raises(InputError, match=message):
        open_files(address)


def test_a_missing_bucket_is_refused(s3_server):
    with pytest.raises(InputError, match="s3://no-such-bucket/x: expected a place to keep labels in"):
        open_files("s3://no-such-bucket/x")


def test_a_store_is_read_without_writing_to_it(store_address):
    open_files(store_address).create("a/1.json", {"a/1.json": b"1"})
    before = open_files(store_address, to_read=True).names("a")
    assert before == ["a/1.json"] and open_files(store_address, to_read=True).read("a/1.json") == b"1"


def test_a_read_only_folder_is_enough_to_read(tmp_path, monkeypatch):
    open_files(str(tmp_path / "store")).create("a/1.json", {"a/1.json": b"1"})
    (tmp_path / "store/.incoming").rmdir()
    # As of a folder without permission to write; the tests may run as root, who may do anything.
    monkeypatch.setattr(Path, "mkdir", lambda *_, **__: (_ for _ in ()).throw(PermissionError(13, "denied")))
    monkeypatch.setattr(Path, "touch", lambda *_, **__: (_ for _ in ()).throw(PermissionError(13, "denied")))
    assert open_files(str(tmp_path / "store"), to_read=True).read("a/1.json") == b"1"


@pytest.mark.parametrize("store", ["missing", "memory://missing", "file"])
def test_a_store_that_is_not_there_is_not_made_to_be_read(tmp_path, store):
    (tmp_path / "file").touch()
    address = store if "://" in store else str(tmp_path / store)
    with pytest.raises(InputError, match="with labels, found none|folder of labels, found none"):
        open_files(address, to_read=True)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_missing_repository_is_not_made_to_be_read(hub):
    with pytest.raises(InputError, match="dataset repository that can be read"):
        open_files("hf://datasets/anna/nothing-here", to_read=True)
    assert "anna/nothing-here" not in hub.commits
