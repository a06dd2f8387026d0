"""The flags by which the HTTP server is guarded, given to a command as `http_access`."""

from collections.abc import Callable
from functools import wraps
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar

import click

from vpplb.cli.options import env_option
from vpplb.telemetry.http_access import HttpAccess
from vpplb.telemetry.http_tls import TlsFiles
from vpplb.telemetry.listen_address import parse_address

F = TypeVar("F", bound=Callable[..., Any])
_FILE = click.Path(path_type=Path, dir_okay=False)

_TLS_CERT = env_option(
    "--http-tls-cert",
    default=None,
    type=_FILE,
    help="Certificate of the HTTP server, in PEM, with those between it and its CA: HTTPS then. It"
    " is read again when it changes.",
)
_TLS_KEY = env_option(
    "--http-tls-key", default=None, type=_FILE, help="Key of that certificate, in PEM."
)
_ACTIONS = env_option(
    "--http-actions",
    is_flag=True,
    help="Let people who sign in act from the dashboard: pause, resume, enable, disable, drain,"
    " weight.",
)
_ACCOUNTS = env_option(
    "--http-accounts",
    default=None,
    type=_FILE,
    help="Accounts of people, a line each as `vpplb account` makes it; of mode 0640 or less.",
)


def _auth_option(way: str, said: str) -> Callable[[F], F]:
    return env_option(
        "--http-auth",
        default="none",
        type=click.Choice(["none", way]),
        help="Who may read the HTTP server, but for health, which anybody may: none: anybody;"
        f" {way}: {said}.",
    )


_CLUSTER_AUTH = _auth_option("kubernetes", "whoever the cluster lets, by a bearer token of his")
_LOCAL_AUTH = _auth_option("accounts", "whoever has an account in --http-accounts")


def cluster_http_flags(function: F) -> Callable[..., Any]:
    """Add the flags of a program of a cluster, on which people act."""
    return _ACTIONS(agent_http_flags(function))


def agent_http_flags(function: F) -> Callable[..., Any]:
    """Add the flags of a program of a cluster."""

    @wraps(function)
    def with_access(
        http_auth: str,
        http_tls_cert: Path | None,
        http_tls_key: Path | None,
        http_actions: bool = False,
        **rest: Any,
    ) -> Any:
        tls = _pair_files(http_tls_cert, http_tls_key)
        guarded = http_auth != "none"
        if guarded and tls is None and not _is_local(rest["http_address"]):
            raise click.UsageError(
                "--http-auth=kubernetes needs --http-tls-cert and --http-tls-key: tokens are taken"
                " over TLS alone, or where --http-address is of this machine"
            )
        access = HttpAccess(actions=http_actions, signed_in_only=guarded, tls=tls)
        return function(http_access=access, **rest)

    return _CLUSTER_AUTH(_TLS_CERT(_TLS_KEY(with_access)))


def local_http_flags(function: F) -> Callable[..., Any]:
    """Add the flags of a program without a cluster."""

    @wraps(function)
    def with_access(
        http_auth: str,
        http_tls_cert: Path | None,
        http_tls_key: Path | None,
        http_accounts: Path | None,
        http_actions: bool,
        **rest: Any,
    ) -> Any:
        guarded = http_auth != "none"
        if (guarded or http_actions) and http_accounts is None:
            raise click.UsageError(
                "--http-actions and --http-auth=accounts need --http-accounts: people who sign in"
            )
        access = HttpAccess(
            actions=http_actions,
            signed_in_only=guarded,
            accounts=http_accounts,
            tls=_pair_files(http_tls_cert, http_tls_key),
        )
        return function(http_access=access, **rest)

    return _ACTIONS(_LOCAL_AUTH(_ACCOUNTS(_TLS_CERT(_TLS_KEY(with_access)))))


def _pair_files(certificate: Path | None, key: Path | None) -> TlsFiles | None:
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise click.UsageError("--http-tls-cert and --http-tls-key belong together")
    return TlsFiles(certificate=certificate, key=key)


def _is_local(address: str) -> bool:
    """Tell whether only this machine reaches an address to listen on."""
    where = parse_address(address)
    if where is None or where.host == "localhost":
        return True
    try:
        return where.host is not None and ip_address(where.host).is_loopback
    except ValueError:
        return False
