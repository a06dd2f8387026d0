"""How kubeconfigs are read: one suite for us and for the official client's loader.

The product does not use the `kubernetes` package (decision 0004); it says here what is right.
"""

import json
import os
import shlex
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pytest
import yaml
from kubernetes.aio import client as official_client
from kubernetes.aio import config as official_config

from vpplb.kube.cluster_access import load_access


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAccess:
    """What both give: `verifies` whether the server's certificate is looked at."""

    server: str
    authorization: str | None
    verifies: bool
    server_name: str | None
    proxy: str | None


ReadConfig = Callable[[str | None, str | None], Awaitable[ReadAccess]]
"""Reads the files of a path list, None for $KUBECONFIG, and a context of them, None for theirs."""


async def read_ours(paths: str | None, context: str | None) -> ReadAccess:
    access = await load_access(Path(paths) if paths else None, context)
    assert access.tls is not None
    return ReadAccess(
        server=access.server,
        authorization=(await access.auth_headers()).get("Authorization"),
        verifies=access.tls.check_hostname,
        server_name=access.server_hostname,
        proxy=access.proxy,
    )


async def read_official(paths: str | None, context: str | None) -> ReadAccess:
    found = official_client.Configuration()
    await official_config.load_kube_config(  # type: ignore[no-untyped-call]  # it has no types
        config_file=paths or os.environ["KUBECONFIG"],
        context=context,
        client_configuration=found,
        persist_config=False,
    )
    settings = await found.auth_settings()
    return ReadAccess(
        server=found.host.rstrip("/"),
        authorization=settings.get("BearerToken", {}).get("value"),
        verifies=bool(found.verify_ssl),
        server_name=found.tls_server_name or None,
        proxy=found.proxy,
    )


@pytest.fixture(params=[read_ours, read_official], ids=["ours", "official"])
def read(request: pytest.FixtureRequest) -> ReadConfig:
    reader: ReadConfig = request.param
    return reader


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the machine's own configuration."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def write_config(
    path: Path,
    user: Mapping[str, object],
    name: str = "c",
    cluster: Mapping[str, object] = MappingProxyType({}),
) -> str:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": name, "cluster": {"server": f"https://{name}.example:6443/", **cluster}}
        ],
        "users": [{"name": name, "user": dict(user)}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(config))
    return str(path)


async def test_a_token(read: ReadConfig, tmp_path: Path) -> None:
    found = await read(write_config(tmp_path / "config", {"token": "t"}), None)
    assert found == ReadAccess(
        server="https://c.example:6443",
        authorization="Bearer t",
        verifies=True,
        server_name=None,
        proxy=None,
    )


async def test_a_token_file_beside_the_kubeconfig(read: ReadConfig, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("of-file")
    user = {"tokenFile": str(tmp_path / "token")}
    assert (
        await read(write_config(tmp_path / "config", user), None)
    ).authorization == "Bearer of-file"


async def test_an_exec_plugin(read: ReadConfig, tmp_path: Path) -> None:
    version = "client.authentication.k8s.io/v1"
    answer = {"apiVersion": version, "kind": "ExecCredential", "status": {"token": "of-plugin"}}
    plugin = tmp_path / "plugin"
    plugin.write_text(f"#!/bin/sh\necho {shlex.quote(json.dumps(answer))}\n")
    plugin.chmod(0o755)
    user = {"exec": {"apiVersion": version, "command": str(plugin), "interactiveMode": "Never"}}
    found = await read(write_config(tmp_path / "config", user), None)
    assert found.authorization == "Bearer of-plugin"


async def test_tls_and_a_proxy(read: ReadConfig, tmp_path: Path) -> None:
    cluster = {"insecure-skip-tls-verify": True, "proxy-url": "http://192.0.2.9:3128"}
    found = await read(write_config(tmp_path / "config", {}, cluster=cluster), None)
    assert (found.verifies, found.proxy) == (False, "http://192.0.2.9:3128")
    named = write_config(tmp_path / "named", {}, cluster={"tls-server-name": "api.internal"})
    assert (await read(named, None)).server_name == "api.internal"


async def test_several_files_and_a_context_of_the_second(
    read: ReadConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = write_config(tmp_path / "1", {"token": "1"}, "first")
    second = write_config(tmp_path / "2", {"token": "2"}, "second")
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join((first, second)))
    # (Without a choice the official loader takes that of the last file, and kubectl of the first.)
    for name, token in (("first", "1"), ("second", "2")):
        chosen = await read(None, name)
        expected = (f"https://{name}.example:6443", f"Bearer {token}")
        assert (chosen.server, chosen.authorization) == expected
