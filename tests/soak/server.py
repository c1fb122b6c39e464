"""The far side of a soak: takes every request and answers all of them when it is told to.

    python -m soak.server ADDRESS REQUESTS      prints its port; then, at each line on stdin, one line

"count" prints how many requests have come, "answer" answers those that wait and prints how many these
were. Rule: nothing passes on a connection between its request and its answer.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from typing import ClassVar

from keptalive.lab.control import allow_many_sockets

#: What is checked in each answer: its own number, and enough behind it that a part would show.
PADDING = 2000


def answer(number: int) -> str:
    """Return the body for a request: no two are the same."""
    return f"{number} {hashlib.sha256(str(number).encode()).hexdigest()}".ljust(PADDING, ".")


class Waiting(asyncio.Protocol):
    """One connection; its request's path is its number."""

    all: ClassVar[dict[int, list[asyncio.Transport]]] = {}  # more than one would be a request sent twice

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.head = b""

    def data_received(self, data: bytes) -> None:
        self.head += data
        if self.head.endswith(b"\r\n\r\n"):
            number = int(self.head.split(b" ", 2)[1].removeprefix(b"/"))
            self.head = b""
            self.all.setdefault(number, []).append(self.transport)  # type: ignore[arg-type]


async def main(address: str, requests: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Waiting, address, 0, backlog=requests)
    print(server.sockets[0].getsockname()[1], flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        if line == "answer\n":
            for number, transports in Waiting.all.items():
                body = answer(number).encode()
                head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                for transport in transports:
                    transport.write(head + body)
                await asyncio.sleep(0)
        print(sum(map(len, Waiting.all.values())), flush=True)


if __name__ == "__main__":
    allow_many_sockets()
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
