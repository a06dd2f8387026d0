"""The Debian package, on a clean Debian whose first process is systemd.

Installed, started, reloaded, hung, upgraded, removed and purged, in this order: a router's life.
VPP is the simulator, under VPP's name, group and sockets.
"""

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.pages import PAGES, ROOT, list_blocks, list_samples, list_spans
from lab.debian_package import built_package, newer_package
from lab.debian_root import TOOLS, DebianContainer
from lab.page_session import matches
from lab.simulated_vpp import CHANGING
from lab.waiting import stays, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.privileged,
    pytest.mark.skipif(
        not all(map(shutil.which, TOOLS)), reason=f"needs {', '.join(TOOLS)} (apt install)"
    ),
]

INSTALLED_WITHIN = 20.0
"""Seconds."""
PROGRAMMED = "VPP has 1 of 1 frontends"
PAGE = "docs/service.md"
INSTALL, USE = (
    "\n".join(step.command for step in one.list_steps())
    for one in list_blocks(ROOT / PAGE)
    if one.needs == "debian"
)
"""What the page has people type once the package is made: to install it, and to use it."""
OF_THE_SERVICE = re.compile(r"(?:systemctl|systemd-analyze|journalctl) .*vpplb")
AS_SHOWN, REFUSED_AS_SHOWN = re.findall(r'Status: "[^"]+"', list_samples(PAGE)[0])
PYTHON = "/usr/lib/vpplb/bin/python3.11"
STANDALONE = "Operator and agent in one process, from a folder of manifests."
"""The line of the command that each shell is to offer."""
MANIFESTS = "/etc/vpplb/manifests/web.yaml"
VPP_UNIT = """\
[Service]
ExecStart=/usr/bin/vpplb vpp-simulator --api-socket /run/vpp/api.sock \
  --stats-socket /run/vpp/stats.sock --log-calls /root/calls.jsonl
Group=vpp
"""
SERVER_UNIT = f"""\
[Service]
ExecStart={PYTHON} -m http.server --directory /usr/share/doc/vpplb 80
"""
WEB = """\
apiVersion: vpplb.dev/v1alpha1
kind: HealthCheck
metadata: {name: http}
spec:
  {type: HTTP, interval: 200ms, http: {path: /copyright, responseRegexp: "Apache[^x]*License"}}
---
apiVersion: vpplb.dev/v1alpha1
kind: HealthCheck
metadata: {name: ping}
spec: {type: ICMP, interval: 200ms}
---
apiVersion: vpplb.dev/v1alpha1
kind: Backend
metadata: {name: served}
spec: {address: 198.51.100.1, healthCheckRef: {name: http}}
---
apiVersion: vpplb.dev/v1alpha1
kind: Backend
metadata: {name: pinged}
spec: {address: 198.51.100.2, healthCheckRef: {name: ping}}
---
apiVersion: vpplb.dev/v1alpha1
kind: Frontend
metadata: {name: web}
spec:
  address: 192.0.2.10
  port: 80
  pools: [{name: all, backends: [{name: served}, {name: pinged}]}]
"""


class Router:
    """The container, and what was measured when the package was installed."""

    def __init__(self, container: DebianContainer, package: Path) -> None:
        self.container = container
        container.run_outside("ip", "link", "set", "lo", "up")
        for address in ("198.51.100.1/32", "198.51.100.2/32"):
            container.run_outside("ip", "address", "add", address, "dev", "lo")
        self.files, self.accounts = container.list_files(), self.read_accounts()
        before = time.monotonic()
        self.said = self.install(package)
        self.installed_within = time.monotonic() - before

    def install(self, package: Path) -> str:
        self.container.outside("/root/dist").mkdir(exist_ok=True)
        shutil.copy(package, self.container.outside("/root/dist/vpplb_1_amd64.deb"))
        return self.type_commands(INSTALL)

    def type_commands(self, commands: str) -> str:
        """Type commands of a page in the home of root; AssertionError where the last one fails."""
        return self.container.run("sh", "-c", f"cd /root\n{commands}")

    def shows(self, status: str) -> bool:
        """Whether `systemctl status` has a line as the page shows it, of one frontend here."""
        line = " ".join(status.replace("12 of 12", "1 of 1").split())
        printed = self.container.run("systemctl", "status", "vpplb")
        return matches(["…", line, "…"], printed.splitlines())

    def read_accounts(self) -> list[str]:
        names = ("passwd", "group", "shadow", "gshadow", "subuid", "subgid")
        return [self.container.read(f"/etc/{name}") for name in names]

    def start_units(self, **units: str) -> None:
        for name, text in units.items():
            self.container.write(f"/etc/systemd/system/{name}.service", text)
        self.container.run("systemctl", "daemon-reload")
        self.container.run("systemctl", "start", *units)

    def show(self, name: str) -> str:
        return self.container.show_unit("vpplb.service", name)

    def wait_status(self, text: str) -> None:
        """Wait until `systemctl status` says it, and nothing else."""
        wait_for(lambda: self.show("StatusText") == text, f"{text}: {self.tell_journal()}")

    def tell_journal(self) -> str:
        return self.container.run("journalctl", "--unit=vpplb", "--lines=100", "--output=cat")

    def changes_of_vpp(self) -> list[str]:
        """List the calls that VPP got so far which change it."""
        calls = map(json.loads, self.container.read("/root/calls.jsonl").splitlines())
        return [one["message"] for one in calls if one["message"] in CHANGING]

    def read_states(self) -> dict[str, tuple[str, str]]:
        """Return each backend's state and code."""
        shown = json.loads(self.ask("/api/v1/backends"))["items"]
        return {
            one["metadata"]["name"]: (one["status"]["state"], one["status"]["code"])
            for one in shown
        }

    def ask(self, path: str) -> str:
        """Return what the service answers at its own address, whatever the status."""
        code = (
            "import sys, urllib.request as r, urllib.error as e\n"
            "try: print(r.urlopen(sys.argv[1]).read().decode())\n"
            "except e.HTTPError as error: print(error.read().decode())"
        )
        return self.container.run(PYTHON, "-c", code, f"http://127.0.0.1:9091{path}")


@pytest.fixture(scope="module")
def package() -> Path:
    """Give the package of this checkout."""
    return built_package()


@pytest.fixture(scope="module")
def router(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """Give a router on which the package was just installed."""
    log = tmp_path_factory.mktemp("debian") / "container.log"
    with DebianContainer(log) as container:
        yield Router(container, package)


def test_one_package_is_all_it_takes(router: Router) -> None:
    took, load = router.installed_within, os.getloadavg()[0]
    print(f"dpkg --install: {took:.1f} s, load {load:.1f}")  # noqa: T201 (measured)
    assert took < INSTALLED_WITHIN, router.said
    inside = router.container
    assert not inside.outside("/usr/bin/python3").exists(), "it brings its own"
    assert inside.run("vpplb", "--version").startswith("vpplb, version ")
    assert inside.run("kubectl-vpplb", "--version")
    assert inside.run("vpplb", "standalone", "--help").startswith("Usage: vpplb standalone")
    for page in ("man8/vpplb.service.8", "man1/vpplb-standalone.1", "man1/kubectl-vpplb.1"):
        assert inside.outside(f"/usr/share/man/{page}.gz").exists()
    compiled = list(inside.outside("/usr/lib/vpplb").rglob("*.pyc"))
    assert len(compiled) > 1000
    # By the hash of the source, which is not checked (PEP 552): it never has to be written anew.
    assert {file.read_bytes()[4:8] for file in compiled} == {b"\1\0\0\0"}


@pytest.mark.parametrize(
    ("shell", "file", "begins", "typed", "offered"),
    [
        (
            "bash", "bash-completion/completions/vpplb", "_vpplb_completion() {",
            "COMP_WORDS='vpplb sta' COMP_CWORD=1", "plain,standalone",
        ),
        (
            "zsh", "zsh/vendor-completions/_vpplb", "#compdef vpplb",
            "COMP_WORDS='vpplb sta' COMP_CWORD=1", f"plain\nstandalone\n{STANDALONE}",
        ),
        (
            "fish", "fish/vendor_completions.d/vpplb.fish", "function _vpplb_completion;",
            "COMP_WORDS='vpplb sta' COMP_CWORD=sta", f"plain,standalone\t{STANDALONE}",
        ),
    ],
)  # fmt: skip
def test_each_shell_completes_its_commands(
    router: Router, shell: str, file: str, begins: str, typed: str, offered: str
) -> None:
    script = router.container.read(f"/usr/share/{file}")
    assert script.lstrip().startswith(begins)
    assert f"_VPPLB_COMPLETE={shell}_complete" in script
    asked = f"_VPPLB_COMPLETE={shell}_complete {typed} vpplb"
    assert router.container.run("bash", "-c", asked) == offered


def test_systemd_finds_nothing_wrong_with_the_unit(router: Router) -> None:
    assert router.container.run("systemd-analyze", "verify", "--man=no", "vpplb.service") == ""
    exposure = router.container.run("systemd-analyze", "security", "vpplb.service")
    score = re.search(r"Overall exposure level for vpplb.service: ([0-9.]+)", exposure)
    assert score is not None
    assert float(score[1]) <= 2.0, exposure


def test_it_starts_at_once_without_vpp_and_says_so(router: Router) -> None:
    assert router.show("ActiveState") == "active"
    assert router.show("StatusText").startswith("VPP has 0 of 0 frontends; vpp: ")
    assert router.show("User") == "vpplb"
    assert router.container.run("systemctl", "is-enabled", "vpplb") == "enabled"


def test_what_is_put_into_the_folder_is_probed_and_programmed(router: Router) -> None:
    router.start_units(vpp=VPP_UNIT, server=SERVER_UNIT)
    router.container.write("/root/web.yaml", WEB)
    said = router.type_commands(USE)
    assert said.startswith("1 file, 5 objects: valid\n")
    assert "\n192.0.2.10/32 tcp/80  new  GRE4 table 1024\n" in said
    assert "vpplb.service - " in said
    router.wait_status(PROGRAMMED)
    assert router.shows(AS_SHOWN)
    up = {"served": ("up", "L7OK"), "pinged": ("up", "L3OK")}
    wait_for(lambda: router.read_states() == up, "both backends are up")
    wait_for(lambda: json.loads(router.ask("/readyz"))["ready"], "it is ready")
    assert "two agents on this VPP" not in router.tell_journal(), "it holds VPP's lock"
    assert json.loads(router.ask("/readyz"))["lock"] == "held"
    lock = router.container.run("stat", "--format=%a %U:%G", "/run/vpp/api.sock.vpplb")
    assert lock.strip() == "640 root:vpp", "nobody else can take it"


NAMED = {span for page in PAGES for span in list_spans(page) if OF_THE_SERVICE.fullmatch(span)}


@pytest.mark.parametrize("command", sorted(NAMED - {"systemctl edit vpplb"}))
def test_what_pages_name_is_done_and_the_service_runs(router: Router, command: str) -> None:
    router.type_commands(command)
    router.wait_status(PROGRAMMED)


def test_what_is_paused_by_ctl_stays_so_over_a_restart(router: Router) -> None:
    def read_members() -> dict[str, str]:
        shown = router.container.run("vpplb", "ctl", "status", "web", "-o", "json", check=False)
        try:
            members = json.loads(shown)["members"]
        except ValueError:
            return {}  # nobody answers yet
        return {one["backend"]: one["state"] for one in members}

    socket = router.container.run("stat", "--format=%a %U:%G", "/run/vpplb/control.sock")
    assert socket == "660 vpplb:vpplb"
    assert router.container.run("vpplb", "ctl", "status").splitlines()[1].split()[:3] == [
        "web", "192.0.2.10/32", "tcp/80",
    ]  # fmt: skip
    said = router.container.run("vpplb", "ctl", "pause", "served", "--wait")
    assert said.startswith("backend served paused\n")
    router.container.run("systemctl", "restart", "vpplb")
    paused = {"served": "paused", "pinged": "up"}
    wait_for(lambda: read_members() == paused, "it is paused, and the other serves")
    resumed = router.container.run("vpplb", "ctl", "resume", "served", "--wait")
    assert resumed.startswith("backend served resumed\n")
    assert read_members() == {"served": "up", "pinged": "up"}
    router.wait_status(PROGRAMMED)


def test_a_reload_that_is_refused_is_said_and_what_runs_goes_on(router: Router) -> None:
    before = router.changes_of_vpp()
    router.container.write(MANIFESTS, WEB.replace("address: 192.0.2.10", "address: nonsense"))
    said = router.container.run("systemctl", "reload", "vpplb", check=False)
    assert said.startswith("Job for vpplb.service failed"), said
    assert "web.yaml:26: " in router.tell_journal()
    wait_for(lambda: "web.yaml:26: " in router.show("StatusText"), "the refusal is said")
    assert router.shows(REFUSED_AS_SHOWN)
    assert router.show("ActiveState") == "active"
    assert "nonsense" in json.loads(router.ask("/readyz"))["notReady"]["manifests"]
    assert "\nvpplb_manifests_last_reload_successful 0.0\n" in router.ask("/metrics")
    router.container.write(MANIFESTS, WEB)
    router.wait_status(PROGRAMMED)
    assert router.changes_of_vpp() == before


def test_a_program_that_hangs_is_started_anew_and_says_where_it_was(router: Router) -> None:
    before = router.changes_of_vpp()
    drop_in = "[Service]\nWatchdogSec=2\nTimeoutAbortSec=2\n"
    router.container.write("/etc/systemd/system/vpplb.service.d/quick.conf", drop_in)
    router.container.run("systemctl", "daemon-reload")
    router.container.run("systemctl", "restart", "vpplb")
    router.wait_status(PROGRAMMED)
    hung = router.show("MainPID")
    router.container.run("systemctl", "kill", "--kill-who=main", "--signal=STOP", "vpplb")
    wait_for(lambda: int(router.show("NRestarts")) >= 1, "it was started anew")
    router.wait_status(PROGRAMMED)
    assert router.show("MainPID") != hung
    assert "Fatal Python error: Aborted" in router.tell_journal()
    assert router.changes_of_vpp() == before, "nothing moved"
    shutil.rmtree(router.container.outside("/etc/systemd/system/vpplb.service.d"))
    router.container.run("systemctl", "daemon-reload")


def test_an_upgrade_moves_nothing(router: Router, package: Path, tmp_path: Path) -> None:
    router.wait_status(PROGRAMMED)
    before, old = router.changes_of_vpp(), router.show("MainPID")
    router.install(newer_package(package, tmp_path))
    assert router.show("MainPID") not in (old, "0"), "the new version runs"
    router.wait_status(PROGRAMMED)
    stays(router.changes_of_vpp, "the calls of VPP", seconds=1.0)
    assert router.changes_of_vpp() == before
    assert router.container.read(MANIFESTS) == WEB


def test_removed_it_leaves_vpp_as_it_is_and_the_files_of_its_user(router: Router) -> None:
    before = router.changes_of_vpp()
    router.container.run("dpkg", "--remove", "vpplb")
    assert router.show("ActiveState") == "inactive"
    assert router.changes_of_vpp() == before
    assert router.container.read(MANIFESTS) == WEB
    assert not router.container.outside("/usr/lib/vpplb").exists()


def test_purged_it_was_never_there(router: Router) -> None:
    router.container.run("systemctl", "stop", "vpp", "server")
    for unit in ("vpp", "server"):
        router.container.outside(f"/etc/systemd/system/{unit}.service").unlink()
    router.type_commands("rm -r dist web.yaml calls.jsonl")
    said = router.container.run("dpkg", "--purge", "vpplb")
    assert "not empty" not in said
    assert router.container.list_files() ^ router.files == set()
    assert router.read_accounts() == router.accounts
    assert not router.container.outside("/run/vpp").exists()
    # Also where any program writes, of which the list above knows nothing.
    named = ("-path", "/proc", "-prune", "-o", "-path", "/sys", "-prune", "-o", "-name", "*vpplb*")
    assert router.container.run("find", "/", *named, "-print") == ""
    unknown = router.container.run("dpkg", "--status", "vpplb", check=False)
    assert "package 'vpplb' is not installed and no information is available" in unknown
