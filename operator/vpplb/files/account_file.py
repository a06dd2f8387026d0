"""Accounts of people on a machine without a cluster: a file with a name and a hash a line.

`vpplb account NAME` makes a line. Passwords are hashed by scrypt (RFC 7914), whose parameters stand
in the line, so that they can grow. A file that others than its owner and group may read is
refused: who has a hash can try passwords without asking anybody.
"""

import base64
import binascii
import hashlib
import hmac
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

COST, BLOCKS, PARALLEL = 1 << 15, 8, 1
"""32 MiB and a tenth of a second each time."""
MOST_COST, MOST_BLOCKS, MOST_PARALLEL = 1 << 17, 16, 4
_SALT_BYTES, _KEY_BYTES = 16, 32
MOST_NAME, MOST_PASSWORD, MOST_FILE = 64, 1024, 1 << 20
_SCHEME = "scrypt"


class BadAccounts(Exception):
    """A file of accounts cannot be used; the text says why, and shows no hash."""


class PasswordHash(NamedTuple):
    """A password's hash, and how it was made."""

    cost: int
    blocks: int
    parallel: int
    salt: bytes
    key: bytes

    def is_of(self, password: str) -> bool:
        """Tell whether it is this password's; takes as long for any."""
        return hmac.compare_digest(_derive_key(password, *self[:4]), self.key)

    def __str__(self) -> str:
        numbers = f"{self.cost},{self.blocks},{self.parallel}"
        return f"${_SCHEME}${numbers}${_encode(self.salt)}${_encode(self.key)}"


def hash_password(password: str) -> PasswordHash:
    """Hash a new password with a salt of its own (ValueError: too long, or none)."""
    if not 0 < len(password) <= MOST_PASSWORD:
        raise ValueError(f"a password has 1 to {MOST_PASSWORD} characters")
    salt = secrets.token_bytes(_SALT_BYTES)
    key = _derive_key(password, COST, BLOCKS, PARALLEL, salt)
    return PasswordHash(COST, BLOCKS, PARALLEL, salt, key)


def _derive_key(password: str, cost: int, blocks: int, parallel: int, salt: bytes) -> bytes:
    memory = 128 * blocks * (cost + parallel + 2) * 2
    return hashlib.scrypt(
        password.encode(errors="surrogatepass"),
        salt=salt,
        n=cost,
        r=blocks,
        p=parallel,
        maxmem=memory,
        dklen=_KEY_BYTES,
    )


NOBODY = PasswordHash(COST, BLOCKS, PARALLEL, b"\0" * _SALT_BYTES, b"\0" * _KEY_BYTES)
"""What a name that is nobody's is tried against, so that it takes as long as one that is."""


def check_name(name: str) -> str:
    """Return a name that an account can have (ValueError)."""
    if not (0 < len(name) <= MOST_NAME and name.isprintable()) or set(name) & set(":# \t"):
        raise ValueError(f"a name has 1 to {MOST_NAME} printable characters, no space, `:` or `#`")
    return name


class AccountFile:
    """The accounts of a file, which is read again when it has changed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: tuple[int, ...] | None = None
        self._accounts: dict[str, PasswordHash] = {}

    def read_accounts(self) -> dict[str, PasswordHash]:
        """Return the accounts that there are now, by name (BadAccounts)."""
        try:
            with open(self.path, "rb", opener=_open_at_once) as file:
                found = os.fstat(file.fileno())
                if not stat.S_ISREG(found.st_mode):
                    raise BadAccounts(f"{self.path}: not a file")
                self._check_mode(found.st_mode)
                stamp = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
                if stamp != self._stamp:
                    text = file.read(MOST_FILE + 1)
                    if len(text) > MOST_FILE:
                        raise BadAccounts(f"{self.path}: larger than {MOST_FILE} bytes")
                    self._accounts = dict(self._parse_lines(text.decode()))
                    self._stamp = stamp
        except OSError as error:
            raise BadAccounts(f"{self.path}: {error.strerror or error}") from error
        except UnicodeDecodeError:
            raise BadAccounts(f"{self.path}: not UTF-8") from None
        return self._accounts

    def _check_mode(self, mode: int) -> None:
        if mode & (stat.S_IRWXO | stat.S_IWGRP):
            raise BadAccounts(
                f"{self.path}: its mode is {stat.S_IMODE(mode):04o}, so others than its owner can"
                " read or change it: chmod 0600, or 0640"
            )

    def _parse_lines(self, text: str) -> Iterator[tuple[str, PasswordHash]]:
        names = set()
        for number, line in enumerate(map(str.strip, text.splitlines()), 1):
            if not line or line.startswith("#"):
                continue
            name, _, hashed = line.partition(":")
            try:
                yield check_name(name), _parse_hash(hashed)
            except ValueError as error:
                raise BadAccounts(f"{self.path}:{number}: {error}") from None
            if name in names:
                raise BadAccounts(f"{self.path}:{number}: the second account {name}")
            names.add(name)


def _open_at_once(path: str, flags: int) -> int:
    """Open a file; of a pipe, do not wait for whoever writes to it."""
    return os.open(path, flags | os.O_NONBLOCK)


def _parse_hash(text: str) -> PasswordHash:
    """Read a hash (ValueError, which does not show it)."""
    try:
        empty, scheme, numbers, salt, key = text.split("$")
        cost, blocks, parallel = map(int, numbers.split(","))
        made = PasswordHash(cost, blocks, parallel, _decode(salt), _decode(key))
    except (ValueError, binascii.Error):
        raise ValueError("not a line of `vpplb account`") from None
    small = 2 <= cost <= MOST_COST and 1 <= blocks <= MOST_BLOCKS and 1 <= parallel <= MOST_PARALLEL
    if empty or scheme != _SCHEME or cost & (cost - 1) or not small or len(made.key) != _KEY_BYTES:
        raise ValueError("not a line of `vpplb account`")
    return made


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
