"""The command `vpplb`. What speaks to a cluster as people do is `kubectl vpplb` (`cli.kubectl`).

Every option of a service can be given in the environment: the flag's name in capitals behind
`VPPLB_`, `-` as `_`.
"""

import click

from vpplb import __version__
from vpplb.cli.collector import tune_collector
from vpplb.cli.lazy_group import LazyCommand, LazyGroup

_LINES = {
    "operator": "Reconcile Frontends, Backends and HealthChecks; probe; write status.",
    "agent": "Program this node's VPP as the Frontends' status says.",
    "standalone": "Operator and agent in one process, from a folder of manifests.",
    "ctl": "See and steer `vpplb standalone` on this machine.",
    "demo": "Watch the main job live: probes, a failover, what VPP is told.",
    "check": "Validate manifests offline.",
    "import": "Make manifests of a maglev.yaml, haproxy.cfg or keepalived.conf.",
    "plan": "Show what an agent would do, and what that does to new flows.",
    "monitor": "Probe VIPs from outside, as customers do, and show what they see.",
    "account": "Make a line for the accounts of `vpplb standalone`.",
    "vpp-simulator": "Run an in-memory VPP that speaks the binary API for the lb plugin.",
    "crds": "Write the CustomResourceDefinitions.",
    "retire": "Let statuses say that nobody keeps them (after uninstalling).",
    "verify-install": "Make a Frontend, see it in every VPP, and remove it.",
}
_MODULES = {"import": "manifest_import"}
"""Modules of commands whose own name no module can have."""
_COMMANDS = {
    name: LazyCommand(line, f"vpplb.cli.{_MODULES.get(name, name.replace('-', '_'))}")
    for name, line in _LINES.items()
}


@click.group(
    cls=LazyGroup, lazy=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="vpplb")
def cli() -> None:
    """VPP as a Maglev load balancer, the Kubernetes way."""


def main() -> None:
    tune_collector()
    cli(prog_name="vpplb")
