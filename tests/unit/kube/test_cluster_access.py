import base64
import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from cluster.certificates import write_serving_certificate
from vpplb.kube import cluster_access as config_module
from vpplb.kube.api_types import ConfigError
from vpplb.kube.cluster_access import load_access


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the machine's own configuration."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):  # reading all authorities takes a while
        monkeypatch.setenv(name, str(tmp_path / "none"))


def write(path: Path, user: Mapping[str, object], **cluster: object) -> Path:
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


def exec_plugin(
    status: dict[str, object], told: Path = Path(os.devnull), **extra: object
) -> dict[str, object]:
    """A user whose exec plugin answers with this status and notes what it is told."""
    version = "client.authentication.k8s.io/v1"
    answer = json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": status})
    script = f"printf %s {shlex.quote(answer)}; echo $KUBERNETES_EXEC_INFO >> {told}"
    return {"exec": {"apiVersion": version, "command": "sh", "args": ["-c", script], **extra}}


def asked_by(told: Path) -> list[dict[str, object]]:
    """Return what a plugin was told each time it was called."""
    return [json.loads(line)["spec"] for line in told.read_text().splitlines()]


async def test_an_exec_plugin_is_asked_again_when_what_it_gave_has_expired(tmp_path: Path) -> None:
    for expires, calls in (("2020-01-01T00:00:00Z", 3), ("2999-01-01T00:00:00Z", 1)):
        told = tmp_path / str(calls)
        user = exec_plugin({"token": "t", "expirationTimestamp": expires}, told)
        access = await load_access(write(tmp_path / "config", user))
        assert await access.auth_headers() == {"Authorization": "Bearer t"}
        await access.auth_headers()
        assert len(asked_by(told)) == calls


async def test_an_exec_plugin_is_told_the_cluster_where_it_asks_for_it(tmp_path: Path) -> None:
    told = tmp_path / "told"
    user = exec_plugin({"token": "t"}, told, provideClusterInfo=True)
    extension = {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "a"}}
    await load_access(write(tmp_path / "config", user, extensions=[extension]))
    (spec,) = asked_by(told)
    assert spec["cluster"] == {"server": "https://192.0.2.1:6443/", "config": {"audience": "a"}}


async def test_an_exec_plugin_may_give_a_certificate_instead_of_a_token(tmp_path: Path) -> None:
    certificate, key = tmp_path / "crt", tmp_path / "key"
    write_serving_certificate(certificate, key)
    status: dict[str, object] = {
        "clientCertificateData": certificate.read_text(),
        "clientKeyData": key.read_text(),
    }
    user = exec_plugin(status)
    access = await load_access(write(tmp_path / "config", user))
    assert await access.auth_headers() == {}
    user = exec_plugin({**status, "clientKeyData": "no key"})
    with pytest.raises(ConfigError):
        await load_access(write(tmp_path / "config", user))


@pytest.mark.parametrize(
    ("plugin", "said"),
    [
        ({"command": "no-such-plugin", "installHint": "get it"}, "no-such-plugin: get it"),
        ({"command": "false"}, "the exec plugin false ended with 1"),
        ({"command": "echo", "args": ["{}"]}, "the exec plugin echo gave no ExecCredential"),
    ],
)
async def test_an_exec_plugin_that_fails_is_named(
    tmp_path: Path, plugin: dict[str, object], said: str
) -> None:
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", **plugin}}
    with pytest.raises(ConfigError, match=said):
        await load_access(write(tmp_path / "config", user))


async def test_what_kubectl_no_longer_knows_is_refused_with_the_way_out(tmp_path: Path) -> None:
    user: dict[str, object] = {"auth-provider": {"name": "gcp"}}
    with pytest.raises(ConfigError, match="auth-provider gcp is out of date; use an exec plugin"):
        await load_access(write(tmp_path / "config", user))


async def test_paths_in_a_kubeconfig_are_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "of" / "it").mkdir(parents=True)
    write_serving_certificate(tmp_path / "of" / "crt", tmp_path / "of" / "it" / "key")
    (tmp_path / "of" / "it" / "token").write_text("of-file\n")
    user: dict[str, object] = {
        "client-certificate": "crt",
        "client-key": "it/key",
        "tokenFile": "it/token",
    }
    config = write(tmp_path / "of" / "config", user, **{"certificate-authority": "crt"})
    access = await load_access(config)
    assert access.tls is not None
    assert len(access.tls.get_ca_certs()) == 1
    assert await access.auth_headers() == {"Authorization": "Bearer of-file"}


async def test_an_authority_may_have_comments_that_are_not_ascii(tmp_path: Path) -> None:
    write_serving_certificate(tmp_path / "crt", tmp_path / "key")
    text = "# Certificación de Ñ\n" + (tmp_path / "crt").read_text()
    data = {"certificate-authority-data": base64.b64encode(text.encode()).decode()}
    access = await load_access(write(tmp_path / "config", {"token": "t"}, **data))
    assert access.tls is not None
    assert len(access.tls.get_ca_certs()) == 1


async def test_of_several_files_the_first_that_names_something_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = write(tmp_path / "first", {"token": "of-first"})
    second = write(tmp_path / "second", {"token": "of-second"})
    config = yaml.safe_load(second.read_text())
    config["users"].append({"name": "other", "user": {"token": "of-other"}})
    config["contexts"].append({"name": "y", "context": {"cluster": "c", "user": "other"}})
    second.write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", f"{first}:{tmp_path / 'absent'}:{second}")
    assert await (await load_access()).auth_headers() == {"Authorization": "Bearer of-first"}
    access = await load_access(context="y")
    assert await access.auth_headers() == {"Authorization": "Bearer of-other"}
    with pytest.raises(ConfigError, match="has no context z"):
        await load_access(context="z")


async def test_a_name_and_a_password_are_basic_authentication(tmp_path: Path) -> None:
    access = await load_access(write(tmp_path / "config", {"username": "u", "password": "p"}))
    assert await access.auth_headers() == {"Authorization": "Basic dTpw"}


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
    with pytest.raises(
        ConfigError, match=r"no usable cluster configuration: .*serviceaccount/token"
    ):
        await load_access()


async def test_a_pod_notices_that_its_token_was_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, ca = tmp_path / "token", tmp_path / "ca.crt"
    monkeypatch.setattr(config_module, "TOKEN_PERIOD", 0.0)
    monkeypatch.setattr(config_module, "_POD", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    token.write_text("first")
    write_serving_certificate(ca, tmp_path / "key")
    access = await load_access()
    assert access.server == "https://[fd00::1]:443"
    assert await access.auth_headers() == {"Authorization": "Bearer first"}
    token.write_text("second")
    assert await access.auth_headers() == {"Authorization": "Bearer second"}
    token.unlink()
    with pytest.raises(ConfigError, match="token cannot be read"):
        await access.auth_headers()
