"""All labels of a store: a numbered log a sequence, every version kept.

    labels/<case>/0001.json             the version's meta data and its folder's name; written last, it makes it count
    labels/<case>/0001-<random>/...     its files, see `label`
    flags/<case>/0001.json              frames of a version that someone should look at again

A submission says which version it goes on from. The version after that can be taken once, so nobody's label is
replaced by someone who has not seen it.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
from dataclasses import asdict, dataclass

from cinetrack.errors import InputError
from cinetrack.labelling.label import Label, LabelMeta, meta_from_json
from cinetrack.labelling.store import AlreadyThere, WriteOnceFiles, safe_name
from cinetrack.sequence.json_files import parse_json

logger = logging.getLogger(__name__)

_ENTRY = re.compile(r"labels/[^/]+/\d{4}\.json")  # others' files (.DS_Store, ._0001.json, notes) are no versions


class LabelConflict(InputError):
    """Someone else labelled the sequence in the meantime."""


@dataclass(frozen=True)
class LabelVersion:
    """One version in a sequence's log; `folder` is its name in the store."""

    number: int
    folder: str
    meta: LabelMeta


@dataclass(frozen=True)
class Flag:
    """Frames of a label's version that look wrong, and why: from quality control, or from a person."""

    version: int
    frames: tuple[int, ...]
    reason: str


class LabelBook:
    """Reads and adds labels. Several may be open on one store, in several processes."""

    def __init__(self, files: WriteOnceFiles) -> None:
        self.files = files
        self._damaged: dict[str, str] = {}  # names of files that were logged as such, and what is wrong with them
        self._known: dict[str, LabelVersion] = {}  # by file name; a version, once written, never changes

    def current(self, case_id: str) -> LabelVersion | None:
        """The newest version of a sequence's label; None where it has none. Raises InputError where it is damaged."""
        name = _newest(self.files.names(f"labels/{safe_name(case_id)}")).get(safe_name(case_id))
        return None if name is None else self._version(name)

    def all_current(self) -> dict[str, LabelVersion]:
        """The newest version of every labelled sequence, by case id.

        Sequences whose newest entry is damaged are left out, and logged once: one bad file must not stop all work.
        """
        found = {}
        for name in _newest(self.files.names("labels")).values():
            try:
                version = self._version(name)
            except InputError as error:
                self._log_damaged(name, error)
            else:
                found[version.meta.case_id] = version
        return found

    def damaged(self) -> dict[str, str]:
        """What is wrong with the newest entries that `all_current` left out, by `safe_name` of the case id."""
        self.all_current()
        newest = _newest(self.files.names("labels"))
        return {case: self._damaged[name] for case, name in newest.items() if name in self._damaged}

    def history(self, case_id: str) -> list[LabelVersion]:
        """All versions of a sequence's label, oldest first."""
        names = self.files.names(f"labels/{safe_name(case_id)}")
        return [self._version(name) for name in names if _ENTRY.fullmatch(name)]

    def submit(self, label: Label, after: int = 0) -> LabelVersion:
        """Add a label.

        Args:
            after: number of the version it goes on from; 0 where the labeller saw none.
        Raises:
            LabelConflict: there is a newer version than that.
        """
        case, number = safe_name(label.meta.case_id), after + 1
        folder = f"labels/{case}/{number:04d}-{secrets.token_hex(6)}"
        entry = f"labels/{case}/{number:04d}.json"
        files = {f"{folder}/{name}": content for name, content in label.to_files().items()}
        files[entry] = json.dumps({"folder": folder, "meta": asdict(label.meta)}, indent=1).encode()
        try:
            self.files.create(entry, files)
        except AlreadyThere:
            taken = self._version(entry).meta
            raise LabelConflict(
                f"{label.meta.case_id}: labelled by {taken.user} at {taken.time} in the meantime"
            ) from None
        return self._version(entry)

    def read(self, version: LabelVersion) -> Label:
        """A version's whole label. Raises InputError where its files are damaged."""
        names = self.files.names(version.folder)
        try:
            files = {name.rpartition("/")[2]: self.files.read(name) for name in names}
        except OSError as error:
            raise InputError(f"{version.folder}: expected a label's files, found unreadable ones ({error})") from None
        return Label.from_files(files, version.folder)

    def flag(self, case_id: str, flag: Flag) -> None:
        """Ask for another look at frames of a label's version."""
        folder = f"flags/{safe_name(case_id)}"
        while True:
            number = len(self.files.names(folder)) + 1
            name = f"{folder}/{number:04d}.json"
            try:
                return self.files.create(name, {name: json.dumps({"case_id": case_id, **asdict(flag)}).encode()})
            except AlreadyThere:
                continue

    def open_flags(self) -> dict[str, list[Flag]]:
        """Flags of labels that have not been revised since, by case id; damaged ones are left out, and logged once."""
        current = self.all_current()
        flags: dict[str, list[Flag]] = {}
        for name in self.files.names("flags"):
            try:
                entry = parse_json(self.files.read(name))
                case_id = str(entry["case_id"])
                frames = tuple(int(frame) for frame in entry["frames"])
                flag = Flag(int(entry["version"]), frames, str(entry["reason"]))
            except (ValueError, KeyError, TypeError, RecursionError, OverflowError, OSError) as error:
                self._log_damaged(name, error)
                continue
            if case_id in current and current[case_id].number == flag.version:
                flags.setdefault(case_id, []).append(flag)
        return flags

    def _log_damaged(self, name: str, error: Exception) -> None:
        if name not in self._damaged:
            self._damaged[name] = str(error)
            logger.warning("%s: %s is damaged and left out: %s", self.files.location, name, error)

    def _version(self, name: str) -> LabelVersion:
        if name not in self._known:
            try:
                entry = parse_json(self.files.read(name))
                number, folder, meta = int(name[-9:-5]), str(entry["folder"]), entry["meta"]
                if not re.fullmatch(re.escape(name.removesuffix(".json")) + r"-[A-Za-z0-9_-]{1,64}", folder):
                    raise ValueError(f"expected the folder of this version, found {folder[:60]!r}")
            except (ValueError, KeyError, TypeError, RecursionError, OSError) as error:
                raise InputError(f"{name}: expected a label's entry, found something else ({error!r:.200})") from None
            self._known[name] = LabelVersion(number, folder, meta_from_json(meta, name))
        return self._known[name]


def _newest(names: list[str]) -> dict[str, str]:
    """Case's folder -> name of its newest entry, of sorted names."""
    return {name.split("/")[1]: name for name in names if _ENTRY.fullmatch(name)}
