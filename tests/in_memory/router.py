"""A router without a cluster in this process: standalone, a VPP in memory, and `vpplb ctl`."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner, Result

from data.manifests import Raw
from data.objects import key, vip
from fakes.load_balancer import FakeLoadBalancer
from fakes.prober import FakeProber
from lab.waiting import eventually
from vpplb.cli.main import cli
from vpplb.standalone.app import StandaloneApp
from vpplb.standalone.standalone_parts import StandaloneOptions
from vpplb.telemetry.http_access import HttpAccess

WEB = vip("198.51.100.1/32")


class LocalRouter:
    """Files, a VPP, and backends that are up unless a test says otherwise."""

    def __init__(self, path: Path, *manifests: Raw) -> None:
        self.folder, self.state_file = path / "manifests", path / "state" / "state.json"
        self.socket = path / "run" / "control.sock"
        self.changes_file = path / "state" / "state.changes.json"
        self.lb = FakeLoadBalancer()
        self.http_address, self.http_access = "", HttpAccess()
        self.folder.mkdir()
        self.write(*manifests)

    def write(self, *manifests: Raw) -> None:
        (self.folder / "all.yaml").write_text(yaml.safe_dump_all(manifests))

    @asynccontextmanager
    async def running(self, *up: str) -> AsyncIterator[StandaloneApp]:
        """Run with these backends up."""
        self.prober = FakeProber()
        for name in up:
            self.prober.answer(key(name), up=True)
        options = StandaloneOptions(
            folder=self.folder,
            vpp_api_socket=Path("/nowhere"),
            state_file=self.state_file,
            control_socket=self.socket,
            http_address=self.http_address,
            http_access=self.http_access,
        )
        app, stop = StandaloneApp(options, self.lb, self.prober), asyncio.Event()
        task = asyncio.create_task(app.run(stop))
        try:
            await eventually(lambda: self.socket.exists() or task.done(), "it listens")
            yield app
        finally:
            stop.set()
            await task

    async def ctl(self, *arguments: str) -> Result:
        """Run `vpplb ctl` as another process would, beside the router."""
        env = {"COLUMNS": "200", "VPPLB_CONTROL_SOCKET": str(self.socket)}
        return await asyncio.to_thread(CliRunner(env=env).invoke, cli, ["ctl", *arguments])

    async def say(self, *arguments: str) -> str:
        """Run a command that must succeed; return what it printed."""
        result = await self.ctl(*arguments)
        assert result.exit_code == 0, result.output
        return result.stdout

    async def read(self, *arguments: str) -> Any:
        """Run a command that must succeed with `-o json`; return what it printed."""
        return json.loads(await self.say(*arguments, "-o", "json"))

    def weights(self) -> list[int]:
        """Return the weights of the VIP in VPP by address; none where it is not there."""
        _, weights = self.lb.rows.get(WEB, (None, {}))
        return [weights[address] for address in sorted(weights, key=int)]

    async def weigh(self, *weights: int) -> None:
        await eventually(lambda: self.weights() == list(weights), f"weights {weights}")
