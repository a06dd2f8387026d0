"""All verbs, each with its line in the list of commands."""

from collections.abc import Iterable, Mapping

from vpplb.cli.lazy_group import LazyCommand

LINES: Mapping[str, str] = {
    "status": "Show what serves, and what is wrong where it does not.",
    "backends": "Show the health of backends, and why it is so.",
    "watch": "Print transitions and failovers as they happen.",
    "pause": "Give backends no new flows; they keep those that they have.",
    "resume": "Probe paused backends again.",
    "disable": "Take backends out at once: their flows are cut.",
    "enable": "Let disabled backends serve again.",
    "drain": "Take backends out once their flows have had time to end.",
    "weight": "Set the weight of a backend in a pool of a frontend.",
    "plan": "Show what manifests would change, before they are applied.",
    "dataplane": "Show the VPP of each node, or all of one: packets, true shares.",
    "monitor": "Probe VIPs from outside, as customers do, and show what they see.",
    "reload": "Read the manifests again, and say what is wrong with them.",
}
_SWITCHES = ("pause", "resume", "disable", "enable")


def list_verbs(names: Iterable[str]) -> dict[str, LazyCommand]:
    """Give the commands of these verbs."""
    return {
        name: LazyCommand(
            LINES[name], f"vpplb.cli.verbs.{'switches' if name in _SWITCHES else name}"
        )
        for name in names
    }
