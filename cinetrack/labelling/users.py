"""Who may sign in: a json file of names and scrypt hashes.

{"users": {"anna": "scrypt$16384$8$1$<salt>$<hash>"}}       (salt and hash in hexadecimal)
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path

from cinetrack.errors import InputError
from cinetrack.sequence.atomic_write import write_text_atomically
from cinetrack.sequence.json_files import read_json

COST, BLOCK, PARALLEL = 1 << 14, 8, 1  # scrypt's n, r, p: 16 MB and some 50 ms a guess
SHORTEST_PASSWORD = 8
NAME = re.compile(r"[A-Za-z0-9_.@-]{1,64}")

FAILURES_ALLOWED = 5
LOCKED_S = 30.0  # after so many failures in a row


class UserFile:
    """The users of an `--auth` file, read once. Raises InputError where it is no such file."""

    def __init__(self, path: Path, now: Callable[[], float] = time.monotonic) -> None:
        self._hashes = _read(path)
        self._now = now
        self._failures: dict[str, tuple[int, float]] = {}  # name -> (in a row, when last)
        self._guard = threading.Lock()
        # Checked when the name is unknown, so that the answer takes as long.
        self._nobody = hash_password(secrets.token_hex(16))

    def verify(self, name: str, password: str) -> bool:
        """Whether that is the user's password. Compared in constant time; guessing is slowed down."""
        with self._guard:
            failures, last = self._failures.get(name, (0, 0.0))
            if failures >= FAILURES_ALLOWED and self._now() - last < LOCKED_S:
                return False
        right = _matches(password, self._hashes.get(name, self._nobody)) and name in self._hashes
        with self._guard:
            if right:
                self._failures.pop(name, None)
            elif name in self._hashes:  # others need no counting, and would fill the memory
                self._failures[name] = (self._failures.get(name, (0, 0.0))[0] + 1, self._now())
        return right


def add_user(path: Path, name: str, password: str) -> None:
    """Add a user to the file, or change a password; the file is made where there is none.

    Raises:
        InputError: an unusable name, too short a password, or a file of something else.
    """
    if not NAME.fullmatch(name):
        raise InputError(f"user name: expected up to 64 letters, digits or _ . @ -, found {name!r}")
    if len(password) < SHORTEST_PASSWORD:
        raise InputError(f"password: expected at least {SHORTEST_PASSWORD} characters, found {len(password)}")
    users = _read(path) if path.exists() else {}
    users[name] = hash_password(password)
    write_text_atomically(path, json.dumps({"users": users}, indent=1) + "\n")
    path.chmod(0o600)


def hash_password(password: str) -> str:
    """A salted scrypt hash in this file's form."""
    salt = secrets.token_bytes(16)
    digest = hashlib.scrypt(password.encode(), salt=salt, n=COST, r=BLOCK, p=PARALLEL)
    return f"scrypt${COST}${BLOCK}${PARALLEL}${salt.hex()}${digest.hex()}"


def _matches(password: str, entry: str) -> bool:
    _, cost, block, parallel, salt, digest = entry.split("$")
    found = hashlib.scrypt(password.encode(), salt=bytes.fromhex(salt), n=int(cost), r=int(block), p=int(parallel))
    return hmac.compare_digest(found, bytes.fromhex(digest))


def _read(path: Path) -> dict[str, str]:
    document = read_json(path)
    users = document.get("users") if isinstance(document, dict) else None
    pattern = re.compile(r"scrypt\$\d{1,7}\$\d{1,2}\$\d{1,2}\$(?:[0-9a-f]{2})+\$(?:[0-9a-f]{2})+")
    if not isinstance(users, dict) or not all(
        NAME.fullmatch(name) and isinstance(entry, str) and pattern.fullmatch(entry) for name, entry in users.items()
    ):
        raise InputError(
            f'{path}: expected {{"users": {{name: scrypt hash}}}} as --add-user writes, found something else'
        )
    return dict(users)
