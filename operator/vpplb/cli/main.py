"""The command `vpplb`, and the same program as the kubectl plugin `kubectl vpplb`.

Subcommands are imported when they are called, so that `--help` and the small commands start
quickly. Every option can be given in the environment: the flag's name in capitals behind
`VPPLB_`, `-` as `_`.
"""

import importlib

import click

from vpplb import __version__

_COMMANDS = {
    "operator": "Reconcile Frontends, Backends and HealthChecks; probe; write status.",
    "agent": "Program this node's VPP as the Frontends' status says.",
    "standalone": "Operator and agent in one process, from a folder of manifests.",
    "demo": "Watch the main job live: probes, a failover, what VPP is told.",
    "check": "Validate manifests offline.",
    "plan": "Show what an agent would do, and what that does to new flows.",
    "vpp-simulator": "Run an in-memory VPP that speaks the binary API for the lb plugin.",
    "crds": "Write the CustomResourceDefinitions.",
}


class _LazyGroup(click.Group):
    """A group whose commands are modules `vpplb.cli.<name>` with an attribute `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"vpplb.cli.{cmd_name.replace('-', '_')}")
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List commands with their one line, importing none of them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vpplb")
def cli() -> None:
    """VPP as a Maglev load balancer, the Kubernetes way."""


def main() -> None:
    """Entry point of `vpplb`."""
    cli(prog_name="vpplb")
