"""A reader of the stream of events (server-sent events, WHATWG HTML 9.2) of a running program."""

import json
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit


class ReadEvent(NamedTuple):
    """An event as it was read; `data` is its JSON."""

    id: str
    type: str
    data: Any


class EventReader:
    """Reads events in a thread from its making until it is left; `events` are those so far."""

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        parts = urlsplit(url)
        self.events: list[ReadEvent] = []
        self._connection = HTTPConnection(parts.netloc, timeout=60)
        self._connection.request("GET", parts.path, headers=headers or {})
        self._response = self._connection.getresponse()
        assert self._response.status == 200, self._response.read()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            if self._connection.sock is not None:
                self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._response.close()
        self._connection.close()

    def read_types(self) -> set[str]:
        return {one.type for one in self.events}

    def _read(self) -> None:
        fields: dict[str, str] = {}
        with suppress(OSError, HTTPException, ValueError):  # it is closed by whoever reads
            for line in self._response:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name:
                    fields[name] = value
                elif "event" in fields:
                    self.events.append(
                        ReadEvent(fields["id"], fields["event"], json.loads(fields["data"]))
                    )
                    fields = {}
