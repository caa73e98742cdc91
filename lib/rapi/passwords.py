# SPDX-License-Identifier: BSD-2-Clause
"""Passwords as a users file keeps them.

    secret                                   plain; may not start with {
    {cleartext}secret
    {ha1}MD5                                 of user:realm:password, in hexadecimal digits
    {scrypt}LN$R$P$SALT$HASH                 cost 2**LN, base64 without padding
    {pbkdf2}DIGEST$ROUNDS$SALT$HASH          DIGEST sha256 or sha512

Names of schemes are written in any case.  A scheme that is not known, and a damaged hash, match no password.
"""

import base64
import hashlib
import hmac
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable

from gantry.rapi.failures import REALM

SCRYPT_COST, SCRYPT_BLOCK, SCRYPT_LANES = 14, 8, 1
MOST_COST, MOST_ROUNDS = 20, 10_000_000
REMEMBERED = 1024
SLOW_AT_ONCE = 2
"""Slow hashes computed at the same time: guessing must not take all processors."""

_SCHEME = re.compile(r"\{([^}]*)\}(.*)", re.DOTALL)


def make(password: str) -> str:
    """The scrypt form of a password."""
    salt = os.urandom(16)
    raw = _scrypt(password, salt, SCRYPT_COST, SCRYPT_BLOCK, SCRYPT_LANES)
    return f"{{SCRYPT}}{SCRYPT_COST}${SCRYPT_BLOCK}${SCRYPT_LANES}${_encoded(salt)}${_encoded(raw)}"


def _scrypt(password: str, salt: bytes, cost: int, block: int, lanes: int) -> bytes:
    need = 128 * block * (2**cost + lanes + 2)
    return hashlib.scrypt(password.encode(), salt=salt, n=2**cost, r=block, p=lanes, maxmem=2 * need, dklen=32)


def _encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def _same(one: str | bytes, other: str | bytes) -> bool:
    return hmac.compare_digest(one if isinstance(one, bytes) else one.encode(),
                               other if isinstance(other, bytes) else other.encode())


def _is_ha1(user: str, password: str, digest: str) -> bool:
    own = hashlib.md5(f"{user}:{REALM}:{password}".encode(), usedforsecurity=False).hexdigest()
    return _same(own, digest.lower())


def _is_scrypt(_user: str, password: str, text: str) -> bool:
    cost, block, lanes, salt, raw = text.split("$")
    if int(cost) > MOST_COST or not 0 < int(block) <= 32 or not 0 < int(lanes) <= 16:
        return False
    return _same(_scrypt(password, _decoded(salt), int(cost), int(block), int(lanes)), _decoded(raw))


def _is_pbkdf2(_user: str, password: str, text: str) -> bool:
    digest, rounds, salt, raw = text.split("$")
    if digest.lower() not in ("sha256", "sha512") or not 0 < int(rounds) <= MOST_ROUNDS:
        return False
    wanted = _decoded(raw)
    own = hashlib.pbkdf2_hmac(digest.lower(), password.encode(), _decoded(salt), int(rounds), len(wanted))
    return _same(own, wanted)


_FAST: dict[str, Callable[[str, str, str], bool]] = {
    "cleartext": lambda _user, password, text: _same(password, text), "ha1": _is_ha1,
}
_SLOW: dict[str, Callable[[str, str, str], bool]] = {"scrypt": _is_scrypt, "pbkdf2": _is_pbkdf2}


class Verifier:
    """Compares passwords.  What a slow hash accepted is remembered for the life of the process, as a keyed hash
    of user, password and stored form: a changed users file asks anew.
    """

    def __init__(self) -> None:
        self._key = os.urandom(32)
        self._guard = threading.Lock()
        self._slow = threading.Semaphore(SLOW_AT_ONCE)
        self._good: OrderedDict[bytes, None] = OrderedDict()

    def matches(self, user: str, password: str, stored: str) -> bool:
        found = _SCHEME.fullmatch(stored)
        if found is None:
            return not stored.startswith("{") and _same(password, stored)
        scheme, text = found[1].lower(), found[2]
        try:
            if scheme in _FAST:
                return _FAST[scheme](user, password, text)
            return scheme in _SLOW and self._slowly(scheme, user, password, text)
        except ValueError:
            return False

    def _slowly(self, scheme: str, user: str, password: str, text: str) -> bool:
        mark = hmac.digest(self._key, "\0".join((user, password, scheme, text)).encode(), "sha256")
        with self._guard:
            if mark in self._good:
                self._good.move_to_end(mark)
                return True
        with self._slow:
            good = _SLOW[scheme](user, password, text)
        if good:
            with self._guard:
                self._good[mark] = None
                while len(self._good) > REMEMBERED:
                    self._good.popitem(last=False)
        return good
