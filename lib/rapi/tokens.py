# SPDX-License-Identifier: BSD-2-Clause
"""Bearer tokens: made once and shown once; what is kept is a hash.

A token is `gnt_ID_SECRET`, its secret 256 random bits; so one round of SHA-256 keeps it as well as a slow hash would.
"""

import fcntl
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from gantry.errors import ConfigurationError, NotFound, WrongInput
from gantry.rapi import own_user
from gantry.utils import clock
from gantry.utils.files import write_atomic

ROLES = ("read", "write")
PREFIX = "gnt_"


@dataclass(frozen=True, kw_only=True)
class Token:
    """`name`: whose it is, for logs and reason trails.  Times in seconds since 1970; `expires` None: never."""

    id: str
    name: str
    role: str
    hash: str
    created: float
    expires: float | None

    def valid(self, now: float) -> bool:
        return self.expires is None or now < self.expires


Tokens = dict[str, Token]


def parse(text: str) -> Tokens:
    """The tokens of the file's text, by id; raises ConfigurationError."""
    try:
        found = [Token(**item) for item in json.loads(text)]
    except (ValueError, TypeError) as err:
        raise ConfigurationError(detail=f"the file of RAPI tokens is damaged: {err}") from err
    if any(token.role not in ROLES for token in found):
        raise ConfigurationError(detail=f"the file of RAPI tokens is damaged: roles are {', '.join(ROLES)}")
    return {token.id: token for token in found}


def find(tokens: Tokens, shown: str, now: float) -> Token | None:
    """The token that a client shows; None when it is unknown, wrong or expired."""
    id, _, _ = shown.removeprefix(PREFIX).partition("_")
    token = tokens.get(id)
    if token is None or not hmac.compare_digest(_hash(shown), token.hash) or not token.valid(now):
        return None
    return token


def _hash(shown: str) -> str:
    return hashlib.sha256(shown.encode()).hexdigest()


class TokenFile:
    """Changing the file; any number of programs at once."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Tokens:
        return parse(self._path.read_text()) if self._path.exists() else {}

    def add(self, name: str, role: str, days: float | None) -> str:
        """The new token's text, which is not kept."""
        if role not in ROLES:
            raise WrongInput(detail=f"'{role}' is no role of a token; there are {', '.join(ROLES)}")
        if not name.strip() or (days is not None and days <= 0):
            raise WrongInput(detail="a token needs a name, and more than 0 days")
        now = clock.epoch()
        id = secrets.token_hex(4)
        shown = f"{PREFIX}{id}_{secrets.token_urlsafe(32)}"
        with self._changing() as tokens:
            tokens[id] = Token(id=id, name=name, role=role, hash=_hash(shown), created=now,
                               expires=None if days is None else now + days * 86400)
        return shown

    def revoke(self, id: str) -> None:
        with self._changing() as tokens:
            if tokens.pop(id, None) is None:
                raise NotFound(kind="Token", name=id)

    @contextmanager
    def _changing(self) -> Iterator[Tokens]:
        self._path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        lock = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            tokens = self.read()
            yield tokens
            text = json.dumps([asdict(token) for token in tokens.values()], indent=1)
            write_atomic(self._path, text + "\n", mode=0o640)
            own_user.may_read(self._path.parent, self._path)
        finally:
            os.close(lock)
