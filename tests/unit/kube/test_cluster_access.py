import shlex
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from kubernetes.aio.config import incluster_config

from cluster.certificates import write_serving_certificate
from vpplb.kube import cluster_access as config_module
from vpplb.kube.api_types import ConfigError
from vpplb.kube.cluster_access import find_namespace, load_access


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the machine's own configuration."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def write(path: Path, user: dict[str, object], **cluster: object) -> Path:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": "https://192.0.2.1:6443/", **cluster}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(config))
    return path


async def test_a_kubeconfig_gives_server_and_token(tmp_path: Path) -> None:
    access = await load_access(write(tmp_path / "config", {"token": "sekrit"}))
    assert access.server == "https://192.0.2.1:6443"
    assert access.tls is not None
    assert access.proxy is None
    assert await access.auth_headers() == {"Authorization": "Bearer sekrit"}


async def test_the_environment_names_the_kubeconfig_before_the_home_directory_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / ".kube" / "config", {"token": "of-home"})
    assert await (await load_access()).auth_headers() == {"Authorization": "Bearer of-home"}
    monkeypatch.setenv("KUBECONFIG", str(write(tmp_path / "other", {"token": "of-env"})))
    assert await (await load_access()).auth_headers() == {"Authorization": "Bearer of-env"}


async def test_an_exec_plugin_gives_the_token(tmp_path: Path) -> None:
    credential = (
        '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",'
        ' "status": {"token": "of-plugin"}}'
    )
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "sh",
        "args": ["-c", f"echo {shlex.quote(credential)}"],
    }
    access = await load_access(write(tmp_path / "config", {"exec": plugin}))
    assert await access.auth_headers() == {"Authorization": "Bearer of-plugin"}


async def test_a_tls_server_name_and_a_proxy_are_heeded(tmp_path: Path) -> None:
    extra = {"tls-server-name": "api.example", "proxy-url": "http://proxy.example:3128"}
    access = await load_access(write(tmp_path / "config", {"token": "t"}, **extra))
    assert access.server_hostname == "api.example"
    assert access.proxy == "http://proxy.example:3128"


async def test_the_proxy_of_the_environment_is_heeded_but_not_for_exempted_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write(tmp_path / "config", {"token": "t"})
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert (await load_access(config)).proxy == "http://proxy.example:3128"
    monkeypatch.setenv("NO_PROXY", "192.0.2.1")
    assert (await load_access(config)).proxy is None


@pytest.mark.parametrize("text", ["", "{}", "nonsense: [", "just text", "clusters: []"])
async def test_an_unusable_kubeconfig_is_a_config_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(ConfigError, match="no usable cluster configuration"):
        await load_access(path)


async def test_no_configuration_at_all_says_where_one_was_looked_for() -> None:
    with pytest.raises(ConfigError, match=r"there is no ~/.kube/config; name a kubeconfig"):
        await load_access()


async def test_a_pod_without_its_token_is_a_config_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    with pytest.raises(ConfigError, match="Service token file does not exist"):
        await load_access()


async def test_a_pod_notices_that_its_token_was_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Impatient(incluster_config.InClusterConfigLoader):
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]  # it has no types
            self._token_refresh_period = timedelta(0)

    token, ca = tmp_path / "token", tmp_path / "ca.crt"
    monkeypatch.setattr(incluster_config, "InClusterConfigLoader", Impatient)
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(ca))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    token.write_text("first")
    write_serving_certificate(ca, tmp_path / "key")
    access = await load_access()
    assert access.server == "https://[fd00::1]:443"
    assert await access.auth_headers() == {"Authorization": "bearer first"}
    token.write_text("second")
    assert await access.auth_headers() == {"Authorization": "bearer second"}
    token.unlink()
    with pytest.raises(ConfigError, match="token cannot be read"):
        await access.auth_headers()


def test_the_default_namespace_is_that_of_the_context(tmp_path: Path) -> None:
    path = write(tmp_path / "config", {})
    assert find_namespace(path) == "default"
    config = yaml.safe_load(path.read_text())
    config["contexts"][0]["context"]["namespace"] = "shop"
    config["contexts"].append({"name": "y", "context": {"cluster": "c", "namespace": "other"}})
    path.write_text(yaml.safe_dump(config))
    assert [find_namespace(path, context) for context in (None, "x", "y")] == [
        "shop", "shop", "other",
    ]  # fmt: skip


def test_the_default_namespace_of_a_pod_is_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "namespace"
    own.write_text("vpplb-system\n")
    monkeypatch.setattr(config_module, "_POD_NAMESPACE", own)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    assert find_namespace() == "vpplb-system"


def test_no_configuration_has_no_default_namespace() -> None:
    with pytest.raises(ConfigError, match="no usable cluster configuration"):
        find_namespace()
