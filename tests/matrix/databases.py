"""What the server speaks besides HTTP: Redis, gRPC, and PostgreSQL by the real thing.

Rule: each begins to answer at once and gives the answer that was asked for late, as the server's HTTP does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matrix.cells import GRPC_METHOD

#: Gives the answer when it is time for it.
Late = Callable[[], Awaitable[str]]

NOBODY = 65534


async def redis(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, late: Late) -> None:
    """Speak RESP: a map to HELLO, OK to what else a client says first, and the answer to BLPOP."""
    while line := await reader.readline():
        words = []
        for _ in range(int(line[1:])):
            size = int((await reader.readline())[1:])
            words.append((await reader.readexactly(size + 2))[:-2].decode())
        if words[0].upper() == "BLPOP":
            answer = await late()
            writer.write(f"*2\r\n${len(words[1])}\r\n{words[1]}\r\n${len(answer)}\r\n{answer}\r\n".encode())
        elif words[0].upper() == "HELLO":
            writer.write(b"%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n$5\r\nproto\r\n:3\r\n")
        else:
            writer.write(b"+OK\r\n")
        await writer.drain()


async def grpc(address: str, number: int, late: Late) -> Any:
    """Serve one method by gRPC; return the server."""
    import grpc.aio

    async def slow(request: bytes, context: Any) -> bytes:
        return (await late()).encode()

    # Pings as often as channel_options() sends them are allowed; the server sends none of its own.
    server = grpc.aio.server(options=[("grpc.http2.min_ping_interval_without_data_ms", 500)])
    service, _, method = GRPC_METHOD.strip("/").partition("/")
    handlers = {method: grpc.unary_unary_rpc_method_handler(slow)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    server.add_insecure_port(f"{address}:{number}")
    await server.start()
    return server


def postgres_programs() -> Path | None:
    """Return where PostgreSQL keeps its programs (Debian's are not on the PATH); None if it is not there."""
    on_the_path = shutil.which("initdb") and shutil.which("postgres")
    if on_the_path:
        return Path(on_the_path).resolve().parent
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return found[-1].parent if found else None


@dataclass(frozen=True)
class Postgres:
    """A PostgreSQL server of ours. It ends with this process, if nobody ends it before."""

    where: tuple[str, int]
    _process: asyncio.subprocess.Process

    async def end(self) -> None:
        """End it, and wait until it has let go of its files."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGQUIT)
        await self._process.wait()


async def start_postgres(address: str, folder: Path) -> Postgres:
    """Start a server on *address*, with its data in *folder*; return when it takes connections."""
    programs = postgres_programs()
    if programs is None:
        raise RuntimeError("PostgreSQL is not installed; on Debian: apt install postgresql")
    data = Path(tempfile.mkdtemp(prefix="postgres-", dir=folder))
    become: list[str] = []
    if os.geteuid() == 0:  # it refuses to run as root
        become = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        os.chown(data, NOBODY, NOBODY)
        folder.chmod(0o711)
    user = ["setpriv", "--pdeathsig=QUIT", *become]
    initdb = [str(programs / "initdb"), "--no-sync", "--auth=trust", "--username=test"]
    making = await _start(*user, *initdb, "--locale=C", "--encoding=UTF8", f"--pgdata={data}", folder=data)
    if await making.wait():
        raise RuntimeError("initdb failed; its message is above")
    (data / "pg_hba.conf").write_text("host all all all trust\n")
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as sock:
        sock.bind((address, 0))
        number = sock.getsockname()[1]
    settings = {"listen_addresses": address, "port": number, "unix_socket_directories": "", "fsync": "off"}
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    process = await _start(*user, str(programs / "postgres"), "-D", str(data), *options, folder=data)
    for _ in range(600):  # half a minute
        if process.returncode is not None:
            break
        try:
            _, writer = await asyncio.open_connection(address, number)
        except OSError:
            await asyncio.sleep(0.05)
            continue
        writer.close()
        return Postgres((address, number), process)
    raise RuntimeError("PostgreSQL did not start; its message is above")


async def _start(*command: str, folder: Path) -> asyncio.subprocess.Process:
    """Start a program that says on stderr whatever it says."""
    return await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=sys.stderr)
