"""Servers with a will of their own, one a process: python servers.py WHAT SECONDS, at port 7100.

keeps-alive   answers after SECONDS, and sends keepalive probes itself
closes        closes a connection SECONDS after the request, without an answer
resets        resets it
in-turn       answers after SECONDS, one request after the other
chatters      sends an interim response each second, answers after SECONDS
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys

PORT = 7100
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"
_turn = asyncio.Lock()


async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    what, seconds = sys.argv[1], float(sys.argv[2])
    try:
        await reader.readuntil(b"\r\n\r\n")
        if what == "keeps-alive":
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 2)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if what == "in-turn":
            async with _turn:
                await asyncio.sleep(seconds)
        elif what == "chatters":
            for _ in range(int(seconds)):
                writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
                await asyncio.sleep(1)
        else:
            await asyncio.sleep(seconds)
        if what == "resets":
            linger = struct.pack("ii", 1, 0)  # on, 0 s (socket(7)): close() sends RST
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        elif what != "closes":
            writer.write(_ANSWER)
            await writer.drain()
            await reader.read()
    except (OSError, asyncio.IncompleteReadError):
        pass  # the client went away
    finally:
        writer.close()


async def main() -> None:
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    server = await asyncio.start_server(converse, None, PORT, backlog=200)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
