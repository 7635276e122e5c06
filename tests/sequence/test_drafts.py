"""Drafts: what a killed process leaves is removed by whoever writes the target next; all else stays."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cinetrack.sequence.atomic_write import atomic_folder, atomic_path, write_text_atomically
from cinetrack.sequence.drafts import draft_file, draft_folder, remove_dead_drafts

WRITER = """
import sys, time
from pathlib import Path
from cinetrack.sequence import drafts
with getattr(drafts, sys.argv[1])(Path(sys.argv[2])) as draft:
    (draft / "part" if draft.is_dir() else draft).write_text("half")
    print(draft, flush=True)
    time.sleep(60)
"""


def writing(kind: str, target: Path) -> tuple[subprocess.Popen, Path]:
    """A process in the middle of writing `target`, and its draft."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, kind, str(target)], stdout=subprocess.PIPE, text=True)
    return process, Path(process.stdout.readline().strip())


@pytest.mark.parametrize(("kind", "again"), [("draft_file", draft_file), ("draft_folder", draft_folder)])
def test_a_killed_writers_draft_goes_when_the_target_is_written_again_and_a_living_ones_stays(kind, again, tmp_path):
    target = tmp_path / "series.nii.gz"
    killed, left_behind = writing(kind, target)
    living, being_written = writing(kind, target)
    try:
        assert left_behind.exists() and left_behind != being_written
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        with again(target) as draft:
            assert draft.name.endswith(".nii.gz") and draft.parent == tmp_path
            assert not left_behind.exists() and being_written.exists()
        assert not draft.exists()
    finally:
        living.kill()
        living.wait()
    remove_dead_drafts(target)
    assert not list(tmp_path.iterdir())


def test_others_hidden_files_and_drafts_of_other_targets_stay(tmp_path):
    names = [
        ".DS_Store",
        ".nfs0123456789ab",
        ".masks.0123abcd.mha",
        ".masks.notes.cinetrack-draft.mha",
        ".other.0123abcd.cinetrack-draft.mha",
        "masks.0123abcd.cinetrack-draft.mha",
    ]
    for name in names:
        (tmp_path / name).write_text("")
    (tmp_path / ".masks").mkdir()
    (tmp_path / ".masks.0123abcd.cinetrack-draft.mha").write_text("left by a dead process")
    with atomic_path(tmp_path / "masks.mha") as temporary:
        temporary.write_text("whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names, ".masks", "masks.mha"])


def test_a_draft_that_was_taken_for_a_dead_one_before_its_lock_is_made_anew(tmp_path, monkeypatch):
    from cinetrack.sequence import drafts

    lock, taken = drafts._lock, []

    def remove_it_first(handle, wait):
        if wait and not taken:
            taken.extend(tmp_path.iterdir())
            taken[0].unlink()
        return lock(handle, wait)

    monkeypatch.setattr(drafts, "_lock", remove_it_first)
    write_text_atomically(tmp_path / "a.json", "{}")
    assert len(taken) == 1 and [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "case"
    with pytest.raises(KeyError), atomic_folder(target) as temporary:
        (temporary / "file").write_text("")
        raise KeyError
    assert not list(tmp_path.iterdir())
    with atomic_folder(target) as temporary:
        (temporary / "file").write_text("")
    assert [path.name for path in target.iterdir()] == ["file"] and target.stat().st_mode & 0o700 == 0o700
    with pytest.raises(OSError), atomic_folder(target):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["case"]
