"""The program `kubectl-vpplb`, which kubectl runs as `kubectl vpplb`."""

import click

from vpplb import __version__
from vpplb.cli.lazy_group import LazyCommand, LazyGroup

_HERE = "vpplb.cli.kubectl"
_LINES = {
    "status": "Show what serves, and what is wrong where it does not.",
    "backends": "Show the health of backends, and why it is so.",
    "watch": "Print transitions and failovers as they happen.",
    "pause": "Give backends no new flows; they keep those that they have.",
    "resume": "Probe paused backends again.",
    "disable": "Take backends out at once: their flows are cut.",
    "enable": "Let disabled backends serve again.",
    "weight": "Set the weight of a backend in a pool of a frontend.",
    "plan": "Show what manifests would change, before they are applied.",
    "dataplane": "Show the VPP of each node, or all of one: packets, true shares.",
}
_SWITCHES = ("pause", "resume", "disable", "enable")
_COMMANDS = {
    name: LazyCommand(line, f"{_HERE}.{'switches' if name in _SWITCHES else name}")
    for name, line in _LINES.items()
}


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
    cli(prog_name="kubectl vpplb")
