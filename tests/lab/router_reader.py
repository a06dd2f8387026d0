"""A reader of the documentation on a router: a shell beside a simulated VPP, with manifests."""

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cluster.stage import VPPLB, SimulatedVpp
from lab.page_session import PageSession
from lab.processes import free_port
from lab.waiting import wait_for

VPP = "/run/vpp/api.sock"
ENDED_BY_TIMEOUT = 124


class RouterReader:
    """Types what pages say, in a folder that has the manifests too."""

    def __init__(self, shell: PageSession, control_socket: Path) -> None:
        self.shell = shell
        self._control_socket = control_socket
        self._here = (
            f"VPPLB_VPP_API_SOCKET={VPP} VPPLB_STATE_FILE=state.json"
            f" VPPLB_HTTP_ADDRESS=127.0.0.1:{free_port()}"
        )

    def type_command(self, command: str) -> str:
        """Type a command, with an end where it has none; return what it printed.

        AssertionError where it ends otherwise than it should.
        """
        command = command.partition(" #")[0]
        verb = re.sub(r"^vpplb (ctl )?", "", command).split()[0]
        status, printed = self.shell.run(self._fit(verb, command))
        ends = {"plan": 1, "watch": ENDED_BY_TIMEOUT}.get(verb, 0)
        assert status == ends, f"{command}\n{printed}"
        if verb == "standalone":
            wait_for(self._control_socket.exists, "it can be steered")
        return printed

    def _fit(self, verb: str, command: str) -> str:
        """Return a command as it can be typed where nobody waits, or answers what it asks."""
        match verb:
            case "standalone":
                return f"{self._here} {command} >log 2>&1 &"
            case "watch":
                return f"timeout 3 {command}"
            case "account":
                return f"{command} <<<'a long password'"
            case "drain" | "monitor":
                return f"{re.sub(r' --for 60s', '', command)} --for 1s"
        return command


@contextmanager
def router_reader(folder: Path, manifests: str) -> Iterator[RouterReader]:
    """Give a reader beside a VPP, with these manifests; what it starts ends with it."""
    vpp, control_socket = SimulatedVpp(folder), folder / "control.sock"
    (folder / "manifests").mkdir()
    (folder / "manifests" / "web.yaml").write_text(manifests)
    swaps = {VPP: str(vpp.socket), "/etc/vpplb": str(folder)}
    env = {
        "PATH": f"{VPPLB.parent}{os.pathsep}{os.environ['PATH']}",
        "VPPLB_CONTROL_SOCKET": str(control_socket),
    }
    with ExitStack() as stack:
        stack.callback(vpp.stop)
        shell = stack.enter_context(PageSession(folder, env, swaps))
        yield RouterReader(shell, control_socket)
