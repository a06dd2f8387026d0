"""Where operators are found: an annotation for each in the Lease of the election.

Operators alone may write that Lease, so whoever reads it from the API server may believe what it
says: where an operator listens, and the fingerprint of its certificate. All of a cluster write into
it, so each entry names its release, and agents believe those of their own. A release is known by
its namespace, and by its name where both an entry and its reader have one: older operators told
none, and a program that was given none has its namespace for a name.
What is not understood is passed over: another version may have written it.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv6Address
from typing import NamedTuple

from vpplb.direct.messages import MOST_OPERATORS, OperatorAddress
from vpplb.model.release_identity import ReleaseIdentity

PREFIX = "vpplb.dev/operator-"
"""What the annotations' names begin with."""
MOST_CHARS = 2048
"""Longest entry that is read."""
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_HOST = re.compile(r"[0-9A-Za-z]([0-9A-Za-z.-]{0,251}[0-9A-Za-z])?")


def name_annotation(identity: str) -> str:
    """Return the name of an operator's annotation."""
    return f"{PREFIX}{hashlib.sha256(identity.encode()).hexdigest()[:16]}"


def dump_operator(
    operator: OperatorAddress, release: ReleaseIdentity, version: str, renewed: str
) -> str:
    """Write the entry of an operator of a release.

    `renewed` is a time, and only a value that changes for as long as the operator lives.
    """
    content = {
        "identity": operator.identity,
        "address": operator.address,
        "fingerprint": operator.fingerprint,
        "namespace": release.namespace,
        "release": release.name,
        "version": version,
        "renewed": renewed,
    }
    return json.dumps(content, separators=(",", ":"))


def find_texts(annotations: object) -> dict[str, str]:
    """Return the texts of all operators' entries by annotation, whether understood or not."""
    if not isinstance(annotations, Mapping):
        return {}
    return {str(name): str(text) for name, text in annotations.items() if _is_entry(name)}


def read_operators(annotations: object, release: ReleaseIdentity) -> tuple[OperatorAddress, ...]:
    """Return the operators of a release, by identity, at most MOST_OPERATORS."""
    found: list[OperatorAddress] = []
    for name, text in sorted(find_texts(annotations).items()):
        if (entry := _read_entry(text)) is None:
            continue
        # Whoever was given no name takes all of its namespace for its own.
        if (
            entry.release.namespace == release.namespace
            and (not release.is_named or release.may_be(entry.release.name))
            and name == name_annotation(entry.operator.identity)
        ):
            found.append(entry.operator)
    return tuple(sorted(found[:MOST_OPERATORS], key=lambda one: one.identity))


def read_release(annotations: object, identity: str) -> str:
    """Return the name of the release of an operator; empty where no entry tells.

    Of an older operator, which tells its namespace alone, return that.
    """
    entry = _find_entry(annotations, identity)
    return entry.release.name or entry.release.namespace if entry is not None else ""


def has_entry(annotations: object, identity: str) -> bool:
    """Whether an operator can be connected to, as far as the Lease's annotations tell."""
    return _find_entry(annotations, identity) is not None


def parse_address(text: str) -> str:
    """Read `host:port`, as `address` of an operator has it; ValueError where it is none.

    An IPv6 address may lack its brackets, as in `$(POD_IP):9443`: the port is always there.
    """
    host, colon, port = text.rpartition(":")
    if not (colon and port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise ValueError(f"not of the form host:port: {text!r:.300}")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if ":" in bare and "%" not in bare:
        return f"[{IPv6Address(bare)}]:{int(port)}"
    if bare != host or not _HOST.fullmatch(host):
        raise ValueError(f"not the name or address of a host: {host!r:.300}")
    return f"{host}:{int(port)}"


def is_usable(operator: OperatorAddress) -> bool:
    """Whether an operator can be connected to; what is told of it may be of another version."""
    try:
        parse_address(operator.address)
    except ValueError:
        return False
    return _FINGERPRINT.fullmatch(operator.fingerprint) is not None


def _is_entry(name: object) -> bool:
    return isinstance(name, str) and name.startswith(PREFIX)


class _OperatorEntry(NamedTuple):
    operator: OperatorAddress
    release: ReleaseIdentity


def _find_entry(annotations: object, identity: str) -> _OperatorEntry | None:
    return _read_entry(find_texts(annotations).get(name_annotation(identity), ""))


def _read_entry(text: str) -> _OperatorEntry | None:
    """Read an operator and its release; None for what is no entry."""
    return None if len(text) > MOST_CHARS else _parse_entry(text)


# An entry is looked at every few seconds, and written every few minutes. So many of the longest
# fit into the annotations of a Lease.
@lru_cache(maxsize=128)
def _parse_entry(text: str) -> _OperatorEntry | None:
    try:
        content = json.loads(text)
        operator = OperatorAddress(
            identity=_read_text(content["identity"]),
            address=parse_address(_read_text(content["address"])),
            fingerprint=_read_text(content["fingerprint"]),
        )
        name = content.get("release") or ""
        release = ReleaseIdentity(
            _read_text(content["namespace"]), _read_text(name) if name else ""
        )
        entry = _OperatorEntry(operator, release)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return entry if is_usable(operator) else None


def _read_text(found: object) -> str:
    if not isinstance(found, str) or not found or not found.isprintable():
        raise ValueError(f"no text: {found!r:.100}")
    return found
