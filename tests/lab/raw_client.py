"""The other end of the binary API's socket, as raw as can be."""

import asyncio
from pathlib import Path
from typing import Any

from vpplb.simulator import wire
from vpplb.simulator.messages import ApiVersion


class RawClient:
    """A client that sends what it is told, and shows what comes."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, api_version: ApiVersion
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._api_version = api_version
        self.index = 0

    @classmethod
    async def open(cls, path: Path, api_version: ApiVersion | None = None) -> "RawClient":
        """Connect, and say nothing."""
        return cls(*await asyncio.open_unix_connection(path), api_version or ApiVersion())

    @classmethod
    async def connect(cls, path: Path, api_version: ApiVersion | None = None) -> "RawClient":
        """Connect and register."""
        client = await cls.open(path, api_version)
        try:
            client.send("sockclnt_create", name="test", context=7)
            reply = await client.receive()
        except BaseException:
            client._writer.close()
            raise
        client.index = int.from_bytes(reply[14:18], "big")
        return client

    def send(self, message: str, /, **fields: Any) -> None:
        """Send a message; the client's index and context 0 if not told otherwise."""
        fields = {"client_index": self.index, "context": 0, **fields}
        packed = wire.LAYOUTS[message].pack(fields)
        self.send_raw(self._api_version.message_id(message).to_bytes(2, "big") + packed[2:])

    def send_blank(self, message: str) -> None:
        """Send a message that is all zeros but for who sends it."""
        self.send(message, **{**wire.LAYOUTS[message].blank_fields(), "client_index": self.index})

    def send_raw(self, message: bytes) -> None:
        """Send a packed message."""
        self._writer.write(wire.frame_message(message))

    async def receive(self) -> bytes:
        """Return the next message, packed."""
        header = await self._reader.readexactly(wire.FRAME.size)
        return await self._reader.readexactly(wire.FRAME.unpack(header)[1])

    async def read(self, size: int) -> bytes:
        """Return so many of the next bytes."""
        return await self._reader.readexactly(size)

    async def rest(self) -> bytes:
        """Return what comes until the simulator hangs up."""
        try:
            return await self._reader.read()
        except ConnectionResetError:
            return b""

    async def answer(self) -> tuple[str, dict[str, Any]]:
        """Return name and fields of the next message."""
        message = await self.receive()
        name = self._api_version.message_name(int.from_bytes(message[:2], "big"))
        assert name is not None
        return name, wire.LAYOUTS[name].unpack(message)

    async def call(self, message: str, /, **fields: Any) -> dict[str, Any]:
        """Send a message; return the fields of the answer."""
        self.send(message, **fields)
        return (await self.answer())[1]

    async def call_blank(self, message: str) -> dict[str, Any]:
        """Send a message that is all zeros; return the fields of the answer."""
        self.send_blank(message)
        return (await self.answer())[1]

    async def close(self) -> None:
        """Hang up."""
        self._writer.close()
        await self._writer.wait_closed()
