"""How to reach the API server: in-cluster configuration or a kubeconfig.

Reading either is left to the `kubernetes` package, which knows certificates, tokens, exec
plugins and contexts; requests are ours (decision 0004). What is found is given as `ClusterAccess`.
"""

import os
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from kubernetes.aio import client as kubernetes_client
from kubernetes.aio import config as kubernetes_config

from vpplb.kube.api_types import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterAccess:
    """A way to an API server. `server` has no trailing slash.

    `auth_headers` gives the headers that say who we are; it is asked before each request, so
    that a token which the kubelet has replaced is noticed within a minute.
    """

    server: str
    auth_headers: Callable[[], Awaitable[Mapping[str, str]]]
    tls: ssl.SSLContext | None = None
    server_hostname: str | None = None
    proxy: str | None = None


_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def find_namespace(kubeconfig: Path | None = None, context: str | None = None) -> str:
    """Return the namespace of the context that `load_access` uses; `default` if it has none.

    ConfigError when the configuration is unusable.
    """
    named = str(kubeconfig) if kubeconfig else os.environ.get("KUBECONFIG", "")
    try:
        if not named and os.environ.get("KUBERNETES_SERVICE_HOST"):
            return _POD_NAMESPACE.read_text().strip()
        # The kubernetes package has no types for its loaders.
        contexts, current = kubernetes_config.list_kube_config_contexts(  # type: ignore[no-untyped-call]
            os.path.expanduser(named or "~/.kube/config")  # noqa: PTH111 (several files, joined)
        )
        chosen = next((one for one in contexts if one["name"] == context), current)
        return str(chosen["context"].get("namespace") or "default")
    except Exception as error:  # as in load_access
        raise ConfigError(f"no usable cluster configuration: {error}") from error


async def load_access(kubeconfig: Path | None = None, context: str | None = None) -> ClusterAccess:
    """Find the configuration: the file given, $KUBECONFIG, the pod's, or ~/.kube/config.

    ConfigError when none is there or the one found is unusable.
    """
    configuration = kubernetes_client.Configuration()
    try:
        named = str(kubeconfig) if kubeconfig else os.environ.get("KUBECONFIG", "")
        if not named and os.environ.get("KUBERNETES_SERVICE_HOST"):
            # The kubernetes package has no types for its loaders.
            kubernetes_config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
        else:
            await _load_files(configuration, named or "~/.kube/config", context)
        return _build_access(configuration)
    except Exception as error:
        # The loader answers a malformed file with whatever fails first: TypeError, AttributeError…
        raise ConfigError(f"no usable cluster configuration: {error}") from error


def _expect_any(paths: str) -> None:
    files = [Path(one).expanduser() for one in paths.split(os.pathsep) if one]
    if not any(file.exists() for file in files):
        raise FileNotFoundError(f"there is no {paths}; name a kubeconfig by $KUBECONFIG")


async def _load_files(
    configuration: kubernetes_client.Configuration, paths: str, context: str | None
) -> None:
    """Load one kubeconfig or several that are merged, as $KUBECONFIG joins them."""
    _expect_any(paths)
    # As above, no types.
    await kubernetes_config.load_kube_config(  # type: ignore[no-untyped-call]
        config_file=paths,
        context=context,
        client_configuration=configuration,
        persist_config=False,
    )


def _build_access(configuration: kubernetes_client.Configuration) -> ClusterAccess:
    async def auth_headers() -> Mapping[str, str]:
        try:
            settings = await configuration.auth_settings()
        except (kubernetes_config.ConfigException, OSError) as error:
            raise ConfigError(f"the service account's token cannot be read: {error}") from error
        token = settings.get("BearerToken", {}).get("value")
        return {"Authorization": token} if token else {}

    server = configuration.host.rstrip("/")
    return ClusterAccess(
        server=server,
        auth_headers=auth_headers,
        tls=_build_tls(configuration) if server.startswith("https") else None,
        server_hostname=configuration.tls_server_name or None,
        proxy=configuration.proxy or _proxy_from_environment(server),
    )


def _proxy_from_environment(server: str) -> str | None:
    """Heed HTTPS_PROXY and NO_PROXY as kubectl does (aiohttp would read ~/.netrc a request)."""
    url = urlsplit(server)
    if proxy_bypass(url.hostname or ""):
        return None
    return getproxies_environment().get(url.scheme)


def _build_tls(configuration: kubernetes_client.Configuration) -> ssl.SSLContext:
    context = ssl.create_default_context(
        cafile=configuration.ssl_ca_cert, cadata=configuration.ca_cert_data
    )
    # Cluster CAs of many installers lack what RFC 5280 demands; kubectl accepts them too.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
