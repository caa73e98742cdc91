# SPDX-License-Identifier: BSD-2-Clause
import hashlib
import os

import pytest

from gantry.rapi import passwords
from gantry.rapi.access import Access, Need, parse_users
from gantry.rapi.failures import HttpError
from gantry.rapi.tokens import TokenFile
from support.rapi import ADMIN, PLAIN, READER, USERS, basic


@pytest.fixture
def access(tmp_path):
    (tmp_path / "users").write_text(USERS)
    return Access(tmp_path / "users", tmp_path / "tokens.json")


def status(access, authorization, need):
    try:
        access.admit(authorization, need)
    except HttpError as err:
        return int(err.status)
    return 200


@pytest.mark.parametrize(("user", "open_", "read", "write"), [
    (None, 200, 401, 401), (PLAIN, 200, 403, 403), (READER, 200, 200, 403), (ADMIN, 200, 200, 200),
    (("admin", "wrong"), 401, 401, 401), (("nobody", "x"), 401, 401, 401), (("admin", ""), 401, 401, 401)])
def test_who_may_what(access, user, open_, read, write):
    shown = basic(user) if user else None
    assert [status(access, shown, need) for need in Need] == [open_, read, write]


def test_required_authentication_takes_any_user_for_open_resources(tmp_path):
    (tmp_path / "users").write_text(USERS)
    access = Access(tmp_path / "users", tmp_path / "tokens.json", strict=True)
    assert status(access, None, Need.NOTHING) == 401
    assert status(access, basic(PLAIN), Need.NOTHING) == 200


@pytest.mark.parametrize("shown", ["", "Basic", "Basic !!!", "Basic YWRtaW4=", "Digest x", "Bearer", "Bearer x",
                                   "Basic /////w==", "Bearer gnt__", "basic"])
def test_credentials_that_make_no_sense_are_refused(access, shown):
    assert status(access, shown, Need.NOTHING) == 401


def test_a_refusal_says_how_to_authenticate(access):
    with pytest.raises(HttpError) as caught:
        access.admit(None, Need.WRITE)
    assert caught.value.headers() == [("WWW-Authenticate", 'Basic realm="Ganeti Remote API"')]


def test_the_users_file():
    users = parse_users("# comment\n\n  \nlonely\nname  pass:word\ttag,write\nother x\n")
    assert users.keys() == {"name", "other"}
    assert users["name"].password == "pass:word"
    assert users["name"].options == {"tag", "write"}
    assert users["other"].options == frozenset()


def test_a_changed_users_file_is_read_again(access, tmp_path):
    assert status(access, basic(ADMIN), Need.WRITE) == 200
    replace(tmp_path / "users", "admin other write\n")
    assert status(access, basic(ADMIN), Need.WRITE) == 401
    assert status(access, basic(("admin", "other")), Need.WRITE) == 200
    (tmp_path / "users").unlink()
    assert status(access, basic(("admin", "other")), Need.WRITE) == 401


def test_a_file_that_cannot_be_read_leaves_the_users_as_they_were(access, tmp_path):
    assert status(access, basic(ADMIN), Need.WRITE) == 200
    (tmp_path / "new").write_bytes(b"\xff\xfe admin")
    os.rename(tmp_path / "new", tmp_path / "users")
    assert status(access, basic(ADMIN), Need.WRITE) == 200


def replace(path, text):
    path.with_suffix(".new").write_text(text)
    os.rename(path.with_suffix(".new"), path)


def ha1(user, password):
    return hashlib.md5(f"{user}:Ganeti Remote API:{password}".encode()).hexdigest()


PBKDF2 = "{pbkdf2}sha256$1000$c2FsdA$" + passwords._encoded(hashlib.pbkdf2_hmac("sha256", b"secret", b"salt", 1000))


@pytest.mark.parametrize("stored", [
    "secret", "{cleartext}secret", "{ClearText}secret", "{HA1}" + ha1("joe", "secret"),
    "{ha1}" + ha1("joe", "secret").upper(), pytest.param(passwords.make("secret"), id="made"), PBKDF2,
    PBKDF2.replace("pbkdf2", "PBKDF2")])
def test_schemes_of_passwords(stored):
    verifier = passwords.Verifier()
    for _ in range(2):
        assert verifier.matches("joe", "secret", stored)
        assert not verifier.matches("joe", "Secret", stored)


def test_a_hash_belongs_to_its_user_where_the_scheme_says_so():
    assert not passwords.Verifier().matches("jim", "secret", "{ha1}" + ha1("joe", "secret"))


@pytest.mark.parametrize("stored", [
    "{secret", "{}secret", "{md5}secret", "{scrypt}", "{scrypt}1$2$3$4$5", "{scrypt}30$8$1$c2FsdA$c2FsdA",
    "{scrypt}a$8$1$c2FsdA$c2FsdA", "{pbkdf2}md5$1$c2FsdA$c2FsdA", "{pbkdf2}sha256$99999999999$c2FsdA$c2FsdA",
    "{pbkdf2}sha256$1000$c2FsdA$", "{ha1}", "{cleartext}"])
def test_what_is_damaged_or_unknown_matches_nothing(stored):
    for password in ("secret", "", stored):
        assert not (stored == "{cleartext}" and password) or not passwords.Verifier().matches("joe", password, stored)
        if stored != "{cleartext}":
            assert not passwords.Verifier().matches("joe", password, stored)


def test_passwords_that_are_not_ascii():
    verifier = passwords.Verifier()
    assert verifier.matches("joe", "geheimnisvoll-ß", "geheimnisvoll-ß")
    assert not verifier.matches("joe", "geheimnisvoll-ß", "geheimnisvoll-s")


def test_tokens(access, tmp_path):
    file = TokenFile(tmp_path / "tokens.json")
    read, write = file.add("ci", "read", None), file.add("deploy", "write", 1)
    assert [status(access, f"Bearer {read}", need) for need in Need] == [200, 200, 403]
    assert [status(access, f"bearer {write}", need) for need in Need] == [200, 200, 200]
    assert access.admit(f"Bearer {write}", Need.WRITE).name == "token deploy"
    assert status(access, f"Bearer {write[:-1]}", Need.NOTHING) == 401
    file.revoke(next(token.id for token in file.read().values() if token.name == "deploy"))
    assert status(access, f"Bearer {write}", Need.NOTHING) == 401
    assert status(access, f"Bearer {read}", Need.READ) == 200


def test_a_damaged_file_of_tokens_gives_nobody_new_rights(access, tmp_path):
    token = TokenFile(tmp_path / "tokens.json").add("ci", "read", None)
    assert status(access, f"Bearer {token}", Need.READ) == 200
    replace(tmp_path / "tokens.json", "[{]")
    assert status(access, f"Bearer {token}", Need.READ) == 200
    assert status(Access(tmp_path / "users", tmp_path / "tokens.json"), f"Bearer {token}", Need.READ) == 401
