# SPDX-License-Identifier: BSD-2-Clause
"""Who calls, and what they may: users file, bearer tokens, and the three kinds of resources."""

import base64
import binascii
import logging
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from gantry.rapi import passwords, tokens
from gantry.rapi.failures import HttpError
from gantry.rapi.watched import Watched
from gantry.utils import clock

log = logging.getLogger(__name__)


class Need(Enum):
    """What a resource asks of its caller."""

    NOTHING = "open"
    READ = "read"
    WRITE = "write"


@dataclass(frozen=True)
class Caller:
    """`name` is empty for who showed no credentials."""

    name: str = ""
    options: frozenset[str] = frozenset()

    def may(self, need: Need) -> bool:
        return need is Need.NOTHING or "write" in self.options or (need is Need.READ and "read" in self.options)


@dataclass(frozen=True)
class User:
    password: str
    options: frozenset[str]


def parse_users(text: str) -> dict[str, User]:
    """Lines `name password [options]`; what cannot be used is left out with a warning that shows no secret."""
    users: dict[str, User] = {}
    for number, line in enumerate(text.splitlines(), 1):
        parts = line.split()
        if not parts or parts[0].startswith("#"):
            continue
        if len(parts) == 1:
            log.warning("line %d of the RAPI users file is ignored: it has no password", number)
            continue
        options = parts[2].split(",") if len(parts) > 2 else []
        users[parts[0]] = User(parts[1], frozenset(option.strip() for option in options))
    return users


class Access:
    """Decides; `strict` wants credentials for everything."""

    def __init__(self, users: Path, token_file: Path, *, strict: bool = False) -> None:
        self._users: Watched[dict[str, User]] = Watched(users, parse_users, {})
        self._tokens: Watched[tokens.Tokens] = Watched(token_file, tokens.parse, {})
        self._verifier = passwords.Verifier()
        self._strict = strict

    def admit(self, authorization: str | None, need: Need) -> Caller:
        """The caller; raises HttpError 401 for credentials that are missing or wrong, 403 for too few rights."""
        if authorization is None:
            if need is Need.NOTHING and not self._strict:
                return Caller()
            raise HttpError(401)
        caller = self._caller(authorization)
        if caller is None:
            raise HttpError(401)
        if not caller.may(need):
            raise HttpError(403)
        return caller

    def _caller(self, authorization: str) -> Caller | None:
        scheme, _, value = authorization.strip().partition(" ")
        if scheme.lower() == "basic":
            return self._basic(value)
        if scheme.lower() == "bearer":
            token = tokens.find(self._tokens.get(), value.strip(), clock.epoch())
            return None if token is None else Caller(f"token {token.name}", frozenset({token.role}))
        return None

    def _basic(self, value: str) -> Caller | None:
        try:
            name, colon, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        user = self._users.get().get(name)
        if not colon or user is None or not self._verifier.matches(name, password, user.password):
            return None
        return Caller(name, user.options)
