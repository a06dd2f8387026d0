"""The program `kubectl-vpplb`, which kubectl runs as `kubectl vpplb`."""

import click

from vpplb import __version__
from vpplb.cli.lazy_group import Lazy, LazyGroup

_HERE = "vpplb.cli.kubectl"
_COMMANDS = {
    "status": Lazy("Show what serves, and what is wrong where it does not.", f"{_HERE}.status"),
    "backends": Lazy("Show the health of backends, and why it is so.", f"{_HERE}.backends"),
    "watch": Lazy("Print transitions and failovers as they happen.", f"{_HERE}.watch"),
    "pause": Lazy("Give backends no new flows; they keep those that they have.",
                  f"{_HERE}.switches", "pause"),
    "resume": Lazy("Probe paused backends again.", f"{_HERE}.switches", "resume"),
    "disable": Lazy("Take backends out at once: their flows are cut.",
                    f"{_HERE}.switches", "disable"),
    "enable": Lazy("Let disabled backends serve again.", f"{_HERE}.switches", "enable"),
    "weight": Lazy("Set the weight of a backend in a pool of a frontend.", f"{_HERE}.weight"),
    "plan": Lazy("Show what manifests would change, before they are applied.", f"{_HERE}.plan"),
    "dataplane": Lazy("Show the VPP of each node, or all of one: packets, true shares.",
                      f"{_HERE}.dataplane"),
}  # fmt: skip


@click.group(
    cls=LazyGroup,
    lazy=_COMMANDS,
    name="vpplb",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="kubectl vpplb")
def cli() -> None:
    """See and steer the load balancing of VPP from Kubernetes.

    \b
    What is wrong?             kubectl vpplb status
    Why is this one down?      kubectl vpplb status web
    What happens right now?    kubectl vpplb watch -A
    Maintenance of a server:   kubectl vpplb pause nginx0 --wait
                               kubectl vpplb resume nginx0
    A canary:                  kubectl vpplb weight web main nginx2 5 --wait
    What would this change?    kubectl vpplb plan -f web.yaml
    What does a node's VPP do? kubectl vpplb dataplane worker-1
    """


def main() -> None:
    """Entry point of `kubectl-vpplb`."""
    cli(prog_name="kubectl vpplb")
