"""The far side of a round of chaos: the matrix's server, asked by a path no fault can touch.

    python -m chaos.server ADDRESS CERTIFICATE SECONDS SOCKET      prints a line when it is ready

Rule: only what is to be tried goes through the firewall. SOCKET is a Unix socket's path, which belongs to
no network namespace.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from keptalive.lab.control import allow_many_sockets
from matrix.server import Server


async def main(address: str, certificate: str, delay: str, path: str) -> None:
    server = Server(address, certificate, float(delay))
    control = await asyncio.start_unix_server(server.control, path)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    print("ready", flush=True)
    await ended.wait()
    control.close()
    await server.end()
    os._exit(0)  # with whatever still goes on


if __name__ == "__main__":
    allow_many_sockets()
    asyncio.run(main(*sys.argv[1:]))
