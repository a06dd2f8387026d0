"""An operator as far as it elects a leader and is found, on a fake Lease."""

import asyncio
from contextlib import suppress
from dataclasses import replace

from fakes.clock import LoopClock
from fakes.lease_line import KEY, LeaseLine, LeaseStore
from vpplb.controller.operator_directory import OperatorDirectory
from vpplb.direct.messages import OperatorAddress
from vpplb.kube.leases.leader_election import LeaderElector, LeadershipLost, WriteFence
from vpplb.kube.leases.leader_rules import LeaderRole
from vpplb.kube.leases.served_scopes import ServedScope
from vpplb.model.release_identity import ReleaseIdentity


def address(name: str) -> OperatorAddress:
    return OperatorAddress(identity=name, address="10.1.2.3:9443", fingerprint="0f" * 32)


class FoundOperator:
    """An operator as far as it elects and is found. `heard` is what the directory told."""

    def __init__(
        self,
        server: LeaseStore,
        name: str,
        *,
        namespace: str = "system",
        scope: ServedScope | None = None,
        fingerprint: str = "0f" * 32,
    ) -> None:
        self.name, self.line, self.writes = name, LeaseLine(server), LeaseLine(server)
        self.heard: list[list[str]] = []
        self.roles: list[LeaderRole] = []
        clock = LoopClock()
        self.directory = OperatorDirectory(
            client=self.writes,
            lease=KEY,
            own=replace(address(name), fingerprint=fingerprint),
            release=ReleaseIdentity(namespace),
            clock=clock,
            on_change=lambda them: self.heard.append([one.identity for one in them]),
        )
        self.elector = LeaderElector(
            client=self.line,
            key=KEY,
            identity=name,
            duration=15.0,
            fence=WriteFence(),
            clock=clock,
            scope=scope or ServedScope(),
            on_role=self.roles.append,
            on_lease=self.directory.observe_lease,
        )
        self._tasks = [
            asyncio.create_task(self.elector.run()),
            asyncio.create_task(self.directory.run()),
        ]

    @property
    def known(self) -> list[str]:
        return [one.identity for one in self.directory.operators]

    async def crash(self) -> None:
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError, LeadershipLost):
                await task

    async def stop(self) -> None:
        await self.crash()
        await self.elector.resign_lease()
        await self.directory.withdraw_entry()
