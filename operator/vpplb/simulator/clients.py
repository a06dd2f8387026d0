"""The clients of one VPP, and those that are gone without VPP having noticed.

VPP quirk: clients that hang up. When a read brings nothing, VPP looks at `errno`, which only a
call that failed has set (vlibmemory/socket_api.c, `vl_socket_read_ready`). A reply that fills a
client's socket leaves EAGAIN there, and from then on VPP takes every end of a stream for nothing
to read: it keeps the descriptor, and finds it ready in each turn. With sixteen of them its loop
over what is ready does not end (vlib/file.c): it answers nobody and forwards nothing. Any other
failure of a system call, such as of a file that cannot be opened, has them all noticed.
"""

from collections.abc import Iterator, Sequence

from vpplb.simulator.connection import ClientConnection

FILLS_MESSAGES = 256
"""Replies that a socket takes unread, however small they are (measured: 278)."""
FILLS_BYTES = 90_000
"""Bytes that it takes in replies of medium size (measured: 93,000)."""
FATAL = 16
"""Ready descriptors with which the loop does not end (vlib/file.c, `epoll_events[16]`)."""
_FIRST_INDEX = 0x80000001  # the high bit marks a client of the socket
_FIRST_DESCRIPTOR = 20


class ClientTable:
    """The clients of one VPP, by index."""

    def __init__(self) -> None:
        self._present: dict[int, ClientConnection] = {}
        self._vanished: dict[int, str] = {}
        self._next_index = _FIRST_INDEX
        self._blind = False

    def __iter__(self) -> Iterator[ClientConnection]:
        return iter(list(self._present.values()))

    def __len__(self) -> int:
        return len(self._present)

    def add_client(self, connection: ClientConnection) -> int:
        index = self._next_index
        self._next_index += 1
        self._present[index] = connection
        return index

    def find_client(self, index: int) -> ClientConnection | None:
        return self._present.get(index)

    def remove_client(self, index: int) -> None:
        """Free the index of a client on which VPP hung up."""
        self._present.pop(index, None)

    def on_client_end(self, index: int) -> bool:
        """Note that a client hung up; return whether VPP goes on."""
        client = self._present.pop(index, None)
        if client is not None and self._blind:
            self._vanished[index] = client.name
        return len(self._vanished) < FATAL

    def on_replies(self, sizes: Sequence[int]) -> None:
        """Note that replies of these sizes, in bytes, were sent at once."""
        if len(sizes) > FILLS_MESSAGES or sum(sizes) > FILLS_BYTES:
            self._blind = True

    def on_failed_call(self) -> None:
        """Note that a system call failed: it sets `errno`, so VPP notices the vanished clients."""
        self._blind = False
        self._vanished.clear()

    def show_clients(self) -> str:
        """Return what `show api clients` prints."""
        names = {index: client.name for index, client in self._present.items()} | self._vanished
        rows = [
            f"{name:>20} {_FIRST_DESCRIPTOR + index - _FIRST_INDEX:8d}\n"
            for index, name in sorted(names.items())
        ]
        return "Socket clients\n" + f"{'Name':>20} {'Fildesc':>8}\n" + "".join(rows)
