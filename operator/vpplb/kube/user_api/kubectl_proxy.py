"""A cluster as kubectl reaches it: `kubectl proxy` on a Unix socket that only this user may open.

kubectl knows contexts, certificates, tokens, plugins that log in, impersonation and proxies; what
it can reach, so can we, without a line of ours about any of them.
"""

import asyncio
import os
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE, Popen
from threading import Thread
from typing import IO

from vpplb.kube.api_types import ApiUnreachable, ConfigError
from vpplb.kube.user_api.user_client import UserClient

KUBECTL = "VPPLB_KUBECTL"
"""The environment variable that names another kubectl than that of the PATH."""
_SPARING = {"GOGC": "400"}
"""For kubectl, unless the user says otherwise: Go's collector is an eighth of its CPU time."""
_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_NO_CONFIG = re.compile(r"\b(localhost|127\.0\.0\.1|\[::1\]):8080\b")
"""Where kubectl looks for a cluster when no kubeconfig names one."""
_NAME_ONE = "kubectl knows of no cluster; name a kubeconfig by --kubeconfig or $KUBECONFIG"
_KLOG = re.compile(rb"^[IWEF]\d{4} .*\n?", re.MULTILINE)
"""A line of kubectl's log; what it says of a request is in the request's answer too."""


@asynccontextmanager
async def open_cluster(flags: Sequence[str]) -> AsyncIterator[UserClient]:
    """Give a client for the cluster that kubectl reaches with these flags; ConfigError."""
    with tempfile.TemporaryDirectory(prefix="vpplb-") as folder:
        path = Path(folder, "api.sock")
        with _start_kubectl(["proxy", f"--unix-socket={path}", *flags]) as kubectl:
            assert kubectl.stdout is not None
            assert kubectl.stderr is not None
            passing = Thread(target=_pass_on, args=(kubectl.stderr,), daemon=True)
            try:
                if not await asyncio.to_thread(kubectl.stdout.readline):
                    raise ConfigError(_find_reason(kubectl.stderr.read()))
                passing.start()
                yield UserClient(path)
            except ApiUnreachable as error:
                if _NO_CONFIG.search(str(error)):
                    raise ConfigError(f"no usable cluster configuration: {_NAME_ONE}") from error
                raise
            finally:
                kubectl.kill()
                if passing.is_alive():
                    passing.join()


async def find_namespace(flags: Sequence[str]) -> str:
    """Return the namespace of the context that kubectl uses with these flags, `default` if none."""
    if not flags and not os.environ.get("KUBECONFIG") and (own := _read_own_namespace()):
        return own
    view = ["config", "view", "--minify", "--output=jsonpath={..namespace}"]
    # Where there is no such context, opening the cluster says so.
    return await asyncio.to_thread(_ask_kubectl, [*view, *flags]) or "default"


async def list_contexts(flags: Sequence[str]) -> list[str]:
    """Return the names of the contexts that there are; none where kubectl finds no file."""
    names = ["config", "get-contexts", "--output=name"]
    return (await asyncio.to_thread(_ask_kubectl, [*names, *flags])).split()


def _read_own_namespace() -> str:
    """Return the namespace of the pod that this runs in; empty where it is none."""
    try:
        return _POD_NAMESPACE.read_text().strip()
    except OSError:
        return ""


def _ask_kubectl(arguments: Sequence[str]) -> str:
    with _start_kubectl(arguments) as kubectl:
        said, _ = kubectl.communicate()
    return said.decode().strip()


def _start_kubectl(arguments: Sequence[str]) -> Popen[bytes]:
    program = _find_kubectl()
    try:
        # Its standard input stays ours: a plugin that logs in may ask for a password.
        return Popen([program, *arguments], stdout=PIPE, stderr=PIPE, env=_SPARING | os.environ)
    except OSError as error:
        raise ConfigError(
            f"{program} cannot be run ({error.strerror}): it reaches the cluster for us; put it on"
            f" the PATH, or name it by {KUBECTL}"
        ) from error


def _find_kubectl() -> str:
    """Return the program that is named, that of the PATH, or where envtest keeps its own."""
    if named := os.environ.get(KUBECTL):
        return named
    assets = os.environ.get("KUBEBUILDER_ASSETS", "")
    return shutil.which("kubectl") or (assets and shutil.which("kubectl", path=assets)) or "kubectl"


def _find_reason(said: bytes) -> str:
    """Return why kubectl ended, in its words."""
    lines = _KLOG.sub(b"", said).decode(errors="replace").splitlines()
    text = " ".join(line.strip() for line in lines if line.strip())
    return f"no usable cluster configuration: {text.removeprefix('error: ')}"


def _pass_on(stderr: IO[bytes]) -> None:
    """Show what a plugin that logs in says; kubectl's own log says nothing new."""
    while chunk := os.read(stderr.fileno(), 1 << 16):
        if text := _KLOG.sub(b"", chunk):
            sys.stderr.write(text.decode(errors="replace"))
            sys.stderr.flush()
