"""The VPPs of a cluster's nodes, as an unmodified vpp_papi client sees each."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from cluster.kubectl import KubectlError
from lab import vpp_witness
from lab.simulated_vpp import CHANGING
from lab.vpp_witness import Seen, parse_seen
from lab.waiting import wait_for

PATIENT = 180.0
"""Seconds that pods may take on a noisy machine."""
CALLS = "/tmp/calls.jsonl"
"""Where each simulated VPP logs its calls (`--log-calls`)."""


class NodeVpps(ABC):
    """What can be asked of them, by whoever knows how to run a program beside each."""

    @abstractmethod
    def run_beside(self, node: str, *command: str) -> str:
        """Run a command where the VPP of a node has its socket, and return what it printed."""

    def see(self, node: str) -> Seen:
        """Return what the VPP of a node has."""
        program = Path(vpp_witness.__file__).read_text()
        return parse_seen(self._read_beside(node, "python3", "-c", program, "/run/vpp/api.sock"))

    def list_changes(self, node: str) -> list[str]:
        """Return the changing calls that the VPP of a node has had."""
        # The image has Python, and no shell nor `cat`.
        log = self._read_beside(node, "python3", "-c", f"print(open({CALLS!r}).read())")
        return [one for one in log.splitlines() if one and json.loads(one)["message"] in CHANGING]

    def _read_beside(self, node: str, *command: str) -> str:
        """Run what only reads; anew where the connection to it broke under way, as under load."""

        def read() -> tuple[str]:
            try:
                return (self.run_beside(node, *command),)
            except KubectlError as error:
                raise AssertionError(str(error)) from error

        return wait_for(read, f"what the VPP of {node} has is read", every=0.5)[0]

    def wait_weights(self, vip: str, expected: Mapping[str, int], nodes: Iterable[str]) -> None:
        """Return when the VPPs of all these nodes have these weights, by address."""
        for node in nodes:
            has: Callable[[], bool] = partial(self._has_weights, vip, expected, node)
            wait_for(has, f"weights {expected} on {node}", timeout=PATIENT, every=0.5)

    def _has_weights(self, vip: str, expected: Mapping[str, int], node: str) -> bool:
        seen = self.see(node).get(vip)
        assert seen is not None, f"{node} has no {vip}"
        assert seen.weights == expected, str(seen.weights)
        return True
