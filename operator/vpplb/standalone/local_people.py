"""People of a router: accounts in a file. Who has one may do all that `vpplb ctl` may."""

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from vpplb.acting.ports import AccessUnknown, NotSignedIn, Person, SignInKind
from vpplb.files.account_file import MOST_PASSWORD, NOBODY, AccountFile, BadAccounts, PasswordHash
from vpplb.model.names import ObjectKind
from vpplb.telemetry.session_cookies import LIFETIME

log = logging.getLogger(__name__)

KEPT_PASSWORDS = 64
"""Passwords in headers that are known to be right, so that a scraper's is not hashed each time."""
_WRONG_PASSWORD = "the name or the password is wrong"


@dataclass(slots=True, kw_only=True)
class LocalPeople:
    """Implements `acting.ports.PeopleAccess` by `accounts`. `now` gives the time, aware.

    What a browser keeps says who signed in until when, signed by a key of this process; it counts
    no more once the account has another password, or is gone.
    """

    accounts: AccountFile
    now: Callable[[], datetime]
    sign_in_kind: SignInKind = "password"
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    _right: dict[bytes, str] = field(default_factory=dict, repr=False)
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)
    _trouble: str = ""

    async def sign_in(self, given: Mapping[str, object]) -> Person:
        name, password = given.get("name"), given.get("password")
        if not isinstance(name, str) or not isinstance(password, str):
            raise NotSignedIn("a name and a password are wanted")
        hashed = self._read_accounts().get(name)
        if len(password) > MOST_PASSWORD:
            raise NotSignedIn(_WRONG_PASSWORD)
        async with self._one_at_a_time:  # each takes 32 MiB
            right = await asyncio.to_thread((hashed or NOBODY).is_of, password)
        if hashed is None or not right:
            raise NotSignedIn(_WRONG_PASSWORD)
        return Person(name=name, credential=self._sign(name, hashed))

    async def identify_person(self, credential: str) -> Person:
        try:
            said, _, seal = credential.rpartition(".")
            name, until = json.loads(base64.urlsafe_b64decode(said))
            hashed = self._read_accounts().get(name)
        except (ValueError, TypeError, RecursionError):
            raise NotSignedIn("what was sent is no sign-in of this program") from None
        # As bytes: texts that are not ASCII raise TypeError, and only for names that there are.
        if hashed is None or not hmac.compare_digest(
            self._seal(said, hashed).encode(), seal.encode()
        ):
            raise NotSignedIn("sign in again: the program or the account is another one by now")
        if self.now().timestamp() >= until:
            raise NotSignedIn("sign in again: it was long ago")
        return Person(name=name, credential=credential)

    async def identify_header(self, authorization: str) -> Person:
        name, password = _read_basic(authorization)
        hashed = self._read_accounts().get(name)
        digest = self._digest_password(hashed, password)
        if hashed is not None and self._right.get(digest) == name:
            return Person(name=name, credential=self._sign(name, hashed))
        person = await self.sign_in({"name": name, "password": password})
        if len(self._right) >= KEPT_PASSWORDS:
            self._right.clear()
        self._right[digest] = name
        return person

    def remembers(self, *, authorization: str, credential: str) -> bool:
        """Nobody guesses what we have signed; a password in a header has been right before."""
        if credential:
            return True
        with suppress(NotSignedIn, AccessUnknown):
            name, password = _read_basic(authorization)
            digest = self._digest_password(self._read_accounts().get(name), password)
            return self._right.get(digest) == name
        return False

    def _digest_password(self, hashed: PasswordHash | None, password: str) -> bytes:
        return hmac.digest(self._key, f"{hashed}\n{password}".encode(), hashlib.sha256)

    async def may_edit(self, person: Person, kind: ObjectKind, namespace: str) -> bool:
        return True

    def check_accounts(self) -> None:
        """Log what is wrong with the file, before somebody tries in vain."""
        with suppress(AccessUnknown):
            self._read_accounts()

    async def may_read(self, person: Person, path: str) -> bool:
        return True

    async def close(self) -> None:
        self._right.clear()

    def _read_accounts(self) -> Mapping[str, PasswordHash]:
        try:
            accounts = self.accounts.read_accounts()
        except BadAccounts as error:
            if str(error) != self._trouble:
                log.error("nobody can sign in: %s", error)
            self._trouble = str(error)
            # No more than this: anybody may ask, and the text names files and people.
            raise AccessUnknown("the accounts cannot be read: the program's log says why") from None
        self._trouble = ""
        return accounts

    def _sign(self, name: str, hashed: PasswordHash) -> str:
        until = int(self.now().timestamp()) + LIFETIME
        said = base64.urlsafe_b64encode(json.dumps([name, until]).encode()).decode()
        return f"{said}.{self._seal(said, hashed)}"

    def _seal(self, said: str, hashed: PasswordHash) -> str:
        return hmac.digest(self._key, f"{said}\n{hashed}".encode(), hashlib.sha256).hex()


def _read_basic(authorization: str) -> tuple[str, str]:
    """Return the name and the password of a header (NotSignedIn)."""
    scheme, _, pair = authorization.partition(" ")
    try:
        name, colon, password = base64.b64decode(pair, validate=True).decode().partition(":")
    except ValueError:
        colon = ""
    if scheme.lower() != "basic" or not colon:
        raise NotSignedIn("Basic, with a name and a password, is wanted")
    return name, password
