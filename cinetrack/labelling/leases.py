"""Who is working on which sequence: leases that expire, so that two people never get the same one.

    leases/<case>/0007.json     {"case_id", "holder", "expires": seconds since 1970}

The newest number counts. Taking, renewing and giving back all write the next one, which only one writer can.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from cinetrack.labelling.store import AlreadyThere, WriteOnceFiles, safe_name
from cinetrack.sequence.json_files import parse_json

logger = logging.getLogger(__name__)

_ENTRY = re.compile(r"leases/[^/]+/\d{4}\.json")  # others' files (.DS_Store, notes) are no leases

DURATION_S = 30 * 60.0


@dataclass(frozen=True)
class Lease:
    """A sequence in someone's hands until `expires` (seconds since 1970)."""

    case_id: str
    holder: str
    expires: float
    number: int


class Leases:
    """Leases in a store.

    Args:
        now: the clock, seconds since 1970; the users' servers' clocks must agree to within a minute or so.
    """

    def __init__(
        self, files: WriteOnceFiles, duration_s: float = DURATION_S, now: Callable[[], float] = time.time
    ) -> None:
        self._files = files
        self._duration_s = duration_s
        self._now = now
        self._own: dict[tuple[str, str], float] = {}  # (case id, holder) -> expiry of leases taken here

    def take(self, case_id: str, holder: str) -> bool:
        """Take or renew a lease; False where someone else holds the sequence.

        A lease of one's own with more than half its time left is kept as it is, without asking the store.
        """
        if self._own.get((case_id, holder), 0.0) - self._now() > self._duration_s / 2:
            return True
        while True:
            newest = self._newest(safe_name(case_id))
            if newest is not None and newest.holder != holder and newest.expires > self._now():
                return False
            expires = self._now() + self._duration_s
            if self._write(case_id, holder, expires, newest):
                self._own[case_id, holder] = expires
                return True
            # Another writer was faster; it may have been this holder, in another thread.
            newest = self._newest(safe_name(case_id))
            if newest is not None and newest.expires > self._now():
                return newest.holder == holder

    def give_back(self, case_id: str, holder: str) -> None:
        """End one's own lease; someone else's is left alone."""
        self._own.pop((case_id, holder), None)
        newest = self._newest(safe_name(case_id))
        if newest is not None and newest.holder == holder and newest.expires > self._now():
            self._write(case_id, holder, self._now(), newest)

    def holder_of(self, case_id: str) -> str | None:
        """Who holds a sequence now; None where nobody does."""
        newest = self._newest(safe_name(case_id))
        return newest.holder if newest is not None and newest.expires > self._now() else None

    def held(self) -> dict[str, str]:
        """Case id -> holder, of all leases that have not expired."""
        newest_names = {name.split("/")[1]: name for name in self._names("leases")}
        leases = [self._read(name) for name in newest_names.values()]
        return {lease.case_id: lease.holder for lease in leases if lease is not None and lease.expires > self._now()}

    def _newest(self, case: str) -> Lease | None:
        while names := self._names(f"leases/{case}"):
            lease = self._read(names[-1])
            if lease is not None:  # else replaced and removed between listing and reading
                return lease
        return None

    def _names(self, folder: str) -> list[str]:
        return [name for name in self._files.names(folder) if _ENTRY.fullmatch(name)]

    def _read(self, name: str) -> Lease | None:
        """None where it is gone; one that is damaged holds nothing any more, and keeps its number."""
        number = int(name[-9:-5])
        try:
            entry = parse_json(self._files.read(name))
            return Lease(str(entry["case_id"]), str(entry["holder"]), float(entry["expires"]), number)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, RecursionError, OSError) as error:
            logger.warning("%s: %s is damaged and counts as expired: %s", self._files.location, name, error)
            return Lease("", "", 0.0, number)

    def _write(self, case_id: str, holder: str, expires: float, after: Lease | None) -> bool:
        number = 1 if after is None else after.number + 1
        folder = f"leases/{safe_name(case_id)}"
        name = f"{folder}/{number:04d}.json"
        content = json.dumps({"case_id": case_id, "holder": holder, "expires": expires}).encode()
        try:
            self._files.create(name, {name: content})
        except AlreadyThere:
            return False
        # Old numbers are removed, so one that was free may lie behind others' by now: only the newest is a lease.
        if self._names(folder)[-1:] != [name]:
            self._files.delete([name])
            return False
        if number > 1:
            self._files.delete([f"{folder}/{number - 1:04d}.json"])
        return True
