"""Passwords are hashed, guessing is slow, and the command that adds users works as typed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cinetrack.errors import InputError
from cinetrack.labelling.users import FAILURES_ALLOWED, LOCKED_S, UserFile, add_user

REPOSITORY = Path(__file__).resolve().parents[2]


def label(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "cinetrack", "label", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, input=stdin, capture_output=True, text=True, timeout=60)


def test_only_the_right_password_is_right(tmp_path):
    add_user(tmp_path / "u.json", "anna", "correct horse")
    add_user(tmp_path / "u.json", "ben", "correct horse")
    users = UserFile(tmp_path / "u.json")
    assert users.verify("anna", "correct horse") and users.verify("ben", "correct horse")
    assert not users.verify("anna", "correct horse ") and not users.verify("carl", "correct horse")
    assert not users.verify("anna", "")


def test_the_file_holds_no_password_and_no_two_hashes_alike(tmp_path):
    for name in ("anna", "ben"):
        add_user(tmp_path / "u.json", name, "correct horse")
    text = (tmp_path / "u.json").read_text()
    assert "horse" not in text
    hashes = list(json.loads(text)["users"].values())
    assert hashes[0] != hashes[1] and (tmp_path / "u.json").stat().st_mode & 0o077 == 0


def test_guessing_is_locked_out_for_a_while(tmp_path):
    add_user(tmp_path / "u.json", "anna", "correct horse")
    time = [0.0]
    users = UserFile(tmp_path / "u.json", now=lambda: time[0])
    for _ in range(FAILURES_ALLOWED):
        assert not users.verify("anna", "wrong")
    assert not users.verify("anna", "correct horse")
    time[0] += LOCKED_S + 1
    assert users.verify("anna", "correct horse")


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"users": []}', '{"users": {"anna": "secret"}}', '{"users": {"<b>": "scrypt$1$1$1$00$00"}}']
)
def test_another_file_is_refused(tmp_path, content):
    (tmp_path / "u.json").write_text(content)
    with pytest.raises(InputError, match="u.json: expected"):
        UserFile(tmp_path / "u.json")


def test_users_are_added_on_the_command_line(tmp_path):
    path = tmp_path / "u.json"
    done = label("--auth", str(path), "--add-user", "anna", stdin="correct horse\n")
    assert done.returncode == 0 and UserFile(path).verify("anna", "correct horse")
    for name, password, message in (("anna", "short\n", "at least 8"), ("a b", "long enough\n", "user name")):
        done = label("--auth", str(path), "--add-user", name, stdin=password)
        assert done.returncode == 2 and message in done.stderr
    assert UserFile(path).verify("anna", "correct horse")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "DATASET: expected"),
        (["nowhere"], "nowhere: expected a TrackRAD2025 dataset"),
        (["nowhere", "--share"], "--share: expected --auth"),
        (["nowhere", "--auth", "missing.json"], "missing.json: expected a json file"),
        (["--add-user", "anna"], "--add-user: expected --auth"),
    ],
)
def test_bad_arguments_are_one_line_and_exit_code_2(arguments, message):
    done = label(*arguments)
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr
