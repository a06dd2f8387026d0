"""How to reach the API server: a pod's service account, or a kubeconfig.

Both are read as kubectl reads them: the files of $KUBECONFIG are merged, and the first that names
something wins; paths in a file are relative to it; exec plugins are run, and asked again when what
they gave has expired. What is found is given as `ClusterAccess`. Why we read them: decision 0004.
"""

import asyncio
import base64
import json
import os
import ssl
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from vpplb.kube.api_types import ConfigError, JsonObject
from vpplb.kube.environment_proxy import find_proxy
from vpplb.model.clock import SystemClock

TOKEN_PERIOD = 60.0
"""Seconds after which a token's file is read again; the kubelet replaces it hourly or so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterAccess:
    """A way to an API server. `server` has no trailing slash.

    `auth_headers` gives the headers that say who we are; it is asked before each request, so
    that a token which the kubelet has replaced is noticed within a minute. `trust` is `tls` without
    a certificate of ours, for whoever asks in another's name.
    """

    server: str
    auth_headers: Callable[[], Awaitable[Mapping[str, str]]]
    tls: ssl.SSLContext | None = None
    trust: ssl.SSLContext | None = None
    server_hostname: str | None = None
    proxy: str | None = None


_POD = Path("/var/run/secrets/kubernetes.io/serviceaccount")
# What a kubeconfig can hold goes wrong in these ways: unreadable, not base64, of another type.
_UNUSABLE = (OSError, ValueError, TypeError, AttributeError, LookupError, yaml.YAMLError)


async def load_access(kubeconfig: Path | None = None, context: str | None = None) -> ClusterAccess:
    """Find the configuration: the file given, $KUBECONFIG, the pod's, or ~/.kube/config.

    ConfigError when none is there or the one found is unusable.
    """
    try:
        if _is_in_pod(kubeconfig):
            return _access_of_pod()
        return await _access_of_context(_read_context(kubeconfig, context))
    except _UNUSABLE as error:
        raise ConfigError(f"no usable cluster configuration: {error}") from error


def _is_in_pod(kubeconfig: Path | None) -> bool:
    named = kubeconfig or os.environ.get("KUBECONFIG")
    return not named and bool(os.environ.get("KUBERNETES_SERVICE_HOST"))


def _access_of_pod() -> ClusterAccess:
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    token = _FileToken(_POD / "token")
    token.read()
    tls = _build_tls({"certificate-authority": str(_POD / "ca.crt")}, {})
    return ClusterAccess(
        server=server,
        auth_headers=token.auth_headers,
        tls=tls,
        trust=tls,
        proxy=find_proxy(server),
    )


# --- kubeconfigs --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _ChosenContext:
    """The cluster and the user that a context names, as written, with paths made absolute."""

    cluster: JsonObject
    user: JsonObject


@dataclass(slots=True)
class _MergedConfig:
    """What all files say, by name."""

    current: str = ""
    clusters: dict[str, JsonObject] = field(default_factory=dict)
    users: dict[str, JsonObject] = field(default_factory=dict)
    contexts: dict[str, JsonObject] = field(default_factory=dict)


_PATHS = ("certificate-authority", "client-certificate", "client-key", "tokenFile")


def _read_context(kubeconfig: Path | None, context: str | None) -> _ChosenContext:
    named = str(kubeconfig) if kubeconfig else os.environ.get("KUBECONFIG") or "~/.kube/config"
    files = [Path(one).expanduser() for one in named.split(os.pathsep) if one]
    present = [file for file in files if file.exists()]
    if not present:
        raise FileNotFoundError(f"there is no {named}; name a kubeconfig by $KUBECONFIG")
    merged = _MergedConfig()
    for file in present:
        _merge_file(merged, file)
    name = context or merged.current
    if name not in merged.contexts:
        raise ValueError(f"{named} has no context {name}" if name else f"{named} names no context")
    chosen = merged.contexts[name]
    cluster, user = str(chosen.get("cluster", "")), str(chosen.get("user", ""))
    if not merged.clusters.get(cluster, {}).get("server"):
        raise ValueError(f"{named} has no server for the cluster {cluster} of the context {name}")
    return _ChosenContext(
        cluster=merged.clusters[cluster],
        user=merged.users.get(user, {}),
    )


def _merge_file(merged: _MergedConfig, file: Path) -> None:
    """Add what a file says of names that none before it has."""
    read = yaml.safe_load(file.read_text())
    if not isinstance(read, dict):
        raise ValueError(f"{file} is no kubeconfig")
    merged.current = merged.current or str(read.get("current-context") or "")
    for kind, into in (
        ("cluster", merged.clusters),
        ("user", merged.users),
        ("context", merged.contexts),
    ):
        for entry in read.get(f"{kind}s") or []:
            values = dict(entry.get(kind) or {})
            for key in _PATHS:
                if values.get(key):
                    values[key] = str(file.parent / str(values[key]))
            if "/" in (values.get("exec") or {}).get("command", ""):
                command = str(file.parent / values["exec"]["command"])
                values["exec"] = {**values["exec"], "command": command}
            into.setdefault(str(entry["name"]), values)


async def _access_of_context(chosen: _ChosenContext) -> ClusterAccess:
    cluster, user = chosen.cluster, chosen.user
    server = str(cluster["server"]).rstrip("/")
    auth_headers: Callable[[], Awaitable[Mapping[str, str]]]
    if user.get("exec"):
        plugin = _ExecPlugin(user["exec"], cluster)
        given = await plugin.find_credential()
        auth_headers = plugin.auth_headers
        user = {f"{key}-data": value for key, value in _given_certificate(given).items()} or user
    elif user.get("tokenFile"):
        token = _FileToken(Path(user["tokenFile"]))
        token.read()
        auth_headers = token.auth_headers
    else:
        auth_headers = _FixedHeaders(_headers_of_user(user)).auth_headers
    return ClusterAccess(
        server=server,
        auth_headers=auth_headers,
        tls=_build_tls(cluster, user) if server.startswith("https") else None,
        trust=_build_tls(cluster, {}) if server.startswith("https") else None,
        server_hostname=cluster.get("tls-server-name") or None,
        proxy=cluster.get("proxy-url") or find_proxy(server),
    )


# --- who we are ---------------------------------------------------------------------------


def _headers_of_user(user: JsonObject) -> Mapping[str, str]:
    if user.get("token"):
        return {"Authorization": f"Bearer {user['token']}"}
    if user.get("username"):
        pair = f"{user['username']}:{user.get('password', '')}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    if user.get("auth-provider"):
        name = user["auth-provider"].get("name")
        raise ValueError(f"the auth-provider {name} is out of date; use an exec plugin instead")
    return {}


class _FixedHeaders:
    """Headers that stay as they are."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    async def auth_headers(self) -> Mapping[str, str]:
        return self._headers


class _FileToken:
    """A token in a file that somebody else renews."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._token = ""
        self._read_at = 0.0

    def read(self) -> None:
        """Read the file; OSError when it is not there, ValueError when it is empty."""
        token = self._path.read_text().strip()
        if not token:
            raise ValueError(f"the token in {self._path} is empty")
        self._token, self._read_at = token, time.monotonic()

    async def auth_headers(self) -> Mapping[str, str]:
        if time.monotonic() - self._read_at >= TOKEN_PERIOD:
            try:
                self.read()
            except (OSError, ValueError) as error:
                raise ConfigError(f"the token cannot be read: {error}") from error
        return {"Authorization": f"Bearer {self._token}"}


class _ExecPlugin:
    """A program that gives credentials (client.authentication.k8s.io), asked when they expire."""

    def __init__(self, config: JsonObject, cluster: JsonObject) -> None:
        self._config = config
        self._cluster = cluster
        self._status: JsonObject = {}
        self._expires = 0.0

    async def find_credential(self) -> JsonObject:
        """Return the status of its ExecCredential; ValueError or OSError when it gives none."""
        if SystemClock().now().timestamp() >= self._expires:
            self._status = await self._ask()
            expires = self._status.get("expirationTimestamp")
            self._expires = datetime.fromisoformat(expires).timestamp() if expires else float("inf")
        return self._status

    async def auth_headers(self) -> Mapping[str, str]:
        try:
            token = (await self.find_credential()).get("token")
        except _UNUSABLE as error:
            raise ConfigError(str(error)) from error
        return {"Authorization": f"Bearer {token}"} if token else {}

    async def _ask(self) -> JsonObject:
        command = str(self._config["command"])
        added = {one["name"]: one["value"] for one in self._config.get("env") or []}
        asked = {"KUBERNETES_EXEC_INFO": json.dumps(self._describe_call())}
        try:
            # Its standard error is the user's: it may say there where to log in.
            process = await asyncio.create_subprocess_exec(
                command,
                *(str(one) for one in self._config.get("args") or []),
                env={**os.environ, **added, **asked},
                stdout=asyncio.subprocess.PIPE,
            )
        except FileNotFoundError as error:
            hint = self._config.get("installHint")
            raise FileNotFoundError(
                f"there is no exec plugin {command}" + (f": {hint}" if hint else "")
            ) from error
        output, _ = await process.communicate()
        if process.returncode:
            raise ValueError(f"the exec plugin {command} ended with {process.returncode}")
        return self._check_answer(command, output)

    def _check_answer(self, command: str, output: bytes) -> JsonObject:
        answer: Any = json.loads(output)
        wanted = self._config["apiVersion"]
        if not isinstance(answer, dict) or not isinstance(answer.get("status"), dict):
            raise ValueError(f"the exec plugin {command} gave no ExecCredential with a status")
        if answer.get("apiVersion") != wanted:
            raise ValueError(f"the exec plugin {command} does not speak {wanted}")
        return dict(answer["status"])

    def _describe_call(self) -> JsonObject:
        interactive = self._config.get("interactiveMode") != "Never" and sys.stdin.isatty()
        spec: JsonObject = {"interactive": interactive}
        if self._config.get("provideClusterInfo"):
            spec["cluster"] = self._describe_cluster()
        version = self._config["apiVersion"]
        return {"apiVersion": version, "kind": "ExecCredential", "spec": spec}

    def _describe_cluster(self) -> JsonObject:
        keys = ("server", "tls-server-name", "insecure-skip-tls-verify", "proxy-url")
        told = {key: self._cluster[key] for key in keys if key in self._cluster}
        authority = _read_pem(self._cluster, "certificate-authority")
        if authority:
            told["certificate-authority-data"] = base64.b64encode(authority).decode()
        for extension in self._cluster.get("extensions") or []:
            if extension.get("name") == "client.authentication.k8s.io/exec":
                told["config"] = extension.get("extension")
        return told


def _given_certificate(status: JsonObject) -> dict[str, str]:
    """Return a plugin's certificate and key, base64 as a kubeconfig has them, by their names."""
    names = {
        "client-certificate": "clientCertificateData",
        "client-key": "clientKeyData",
    }
    return {
        name: base64.b64encode(str(status[key]).encode()).decode()
        for name, key in names.items()
        if status.get(key)
    }


# --- TLS ----------------------------------------------------------------------------------


def _build_tls(cluster: JsonObject, user: JsonObject) -> ssl.SSLContext:
    authority = _read_pem(cluster, "certificate-authority")
    # OpenSSL takes ASCII only, and bundles have names of people in their comments.
    text = authority.decode("ascii", "ignore") if authority else None
    context = ssl.create_default_context(cadata=text)
    # Cluster CAs of many installers lack what RFC 5280 demands; kubectl accepts them too.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    certificate, key = _read_pem(user, "client-certificate"), _read_pem(user, "client-key")
    if certificate:
        with TemporaryDirectory(prefix="vpplb-") as folder:  # OpenSSL reads files only
            pair = Path(folder, "pair.pem")
            pair.touch(mode=0o600)
            pair.write_bytes(certificate + b"\n" + (key or b""))
            context.load_cert_chain(pair)
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _read_pem(where: JsonObject, name: str) -> bytes | None:
    """Read what stands there itself (base64), else in the file that is named."""
    if where.get(f"{name}-data"):
        return base64.b64decode(where[f"{name}-data"])
    return Path(where[name]).read_bytes() if where.get(name) else None
