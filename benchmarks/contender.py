"""One client in a process of its own: plain, held, or with an adapter; it does as its standard input says.

Plain and held run in processes of their own because the interpreter adapts its code to the objects that it
sees. Each shows on its live socket what it holds before it is timed.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keptalive

POLICY = keptalive.Policy(idle=61, interval=16, count=8)

SERVER = """
import asyncio, sys

ANSWER = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: 2\\r\\n\\r\\n{}"

class Answering(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.seen = transport, b""
    def data_received(self, data):
        self.seen += data
        while b"\\r\\n\\r\\n" in self.seen:
            self.seen = self.seen.partition(b"\\r\\n\\r\\n")[2]
            self.transport.write(ANSWER)

async def main():
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""

#: A client, what sends one request with it, and what closes it.
Made = tuple[Any, Callable[[], Any], Callable[[], Any]]


@contextmanager
def server() -> Iterator[int]:
    """Yield the port of a server in a process of its own, which ends when its standard input does.

    It answers whatever is asked, so it serves as a proxy as well.
    """
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        yield int(child.stdout.readline())
        child.stdin.close()


def _http_client(port: int) -> Made:
    client = http.client.HTTPConnection("127.0.0.1", port)

    def send() -> None:
        client.request("GET", "/")
        client.getresponse().read()

    return client, send, client.close


def _urllib3(port: int) -> Made:
    import urllib3

    client = urllib3.PoolManager()
    return client, lambda: client.request("GET", f"http://127.0.0.1:{port}/"), client.clear


def _requests(port: int) -> Made:
    import requests

    client = requests.Session()
    client.trust_env = False
    return client, lambda: client.get(f"http://127.0.0.1:{port}/"), client.close


def _pycurl(port: int) -> Made:
    import pycurl

    client = pycurl.Curl()
    client.setopt(pycurl.URL, f"http://127.0.0.1:{port}/")
    client.setopt(pycurl.WRITEFUNCTION, bytearray().extend)
    return client, client.perform, client.close


def _httpx(library: str) -> Callable[[int], Made]:
    def make(port: int) -> Made:
        client = __import__(library).Client(trust_env=False)
        return client, lambda: client.get(f"http://127.0.0.1:{port}/"), client.close

    return make


def _async_httpx(library: str) -> Callable[[int], Made]:
    def make(port: int) -> Made:
        client = __import__(library).AsyncClient(trust_env=False)
        return client, lambda: client.get(f"http://127.0.0.1:{port}/"), client.aclose

    return make


def _aiohttp(port: int) -> Made:
    import aiohttp

    client = aiohttp.ClientSession()

    async def send() -> None:
        async with client.get(f"http://127.0.0.1:{port}/") as response:
            await response.read()

    return client, send, client.close


def _openai(port: int) -> Made:
    import openai

    client = openai.OpenAI(api_key="x", base_url=f"http://127.0.0.1:{port}/")
    return client, lambda: client.get("/", cast_to=object), client.close


def _tornado_curl(port: int) -> Made:
    from tornado.curl_httpclient import CurlAsyncHTTPClient

    client = CurlAsyncHTTPClient(force_instance=True)

    async def close() -> None:
        client.close()

    return client, lambda: client.fetch(f"http://127.0.0.1:{port}/"), close


CLIENTS: dict[str, tuple[bool, Callable[[int], Made]]] = {  # name -> asynchronous?, maker
    "http.client": (False, _http_client),
    "urllib3": (False, _urllib3),
    "requests": (False, _requests),
    "pycurl": (False, _pycurl),
    "httpx": (False, _httpx("httpx")),
    "httpx2": (False, _httpx("httpx2")),
    "httpx async": (True, _async_httpx("httpx")),
    "httpx2 async": (True, _async_httpx("httpx2")),
    "aiohttp": (True, _aiohttp),
    "openai": (False, _openai),
    "tornado curl": (True, _tornado_curl),
}


def _toolbelt(client: Any) -> None:
    from requests_toolbelt.adapters.socket_options import TCPKeepAliveAdapter

    client.mount(
        "http://",
        TCPKeepAliveAdapter(idle=POLICY.idle, interval=POLICY.interval, count=POLICY.count),
    )


def _adapter(client: Any) -> None:
    from keptalive.clients.requests import HTTPAdapter

    client.mount("http://", HTTPAdapter(POLICY))


#: What makes a client send keepalive probes; the last two are for requests only.
WAYS: dict[str, Callable[[Any], Any]] = {
    "plain": lambda client: None,
    "hold()": lambda client: keptalive.hold(client, POLICY),
    "keptalive's adapter": _adapter,
    "toolbelt's adapter": _toolbelt,
}


class Contender:
    """A client in a process of its own. Raises ImportError if its library is not here."""

    def __init__(self, name: str, port: int, way: str) -> None:
        self.process = subprocess.Popen(
            command(name, port, way),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        self._answer()  # it is connected, and shows what it should

    def _answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line.startswith("missing"):
            self.close()
            raise ImportError(line.strip())
        assert line, "a contender died"
        return line

    def batch(self, size: int) -> tuple[float, float]:
        """Return the wall and CPU seconds of *size* requests."""
        assert self.process.stdin is not None
        print(size, file=self.process.stdin, flush=True)
        wall, cpu = map(float, self._answer().split())
        return wall, cpu

    def close(self) -> None:
        """End the process."""
        with self.process:
            assert self.process.stdin is not None
            self.process.stdin.close()


def command(name: str, port: int, way: str) -> list[str]:
    """Return the command that runs a contender."""
    return [sys.executable, __file__, name, str(port), way]


def environment() -> dict[str, str]:
    """Return this process's environment, with the same order of sets for all."""
    return {**os.environ, "PYTHONHASHSEED": "0"}


def contend(name: str, port: int, way: str) -> None:
    """Be a contender: connect, show it, and do batches of the sizes that are read."""
    asynchronous, make = CLIENTS[name]
    loop = asyncio.new_event_loop()

    def run(work: Callable[..., Any], *args: Any) -> Any:
        async def inside() -> Any:
            result = work(*args)
            return await result if hasattr(result, "__await__") else result

        return loop.run_until_complete(inside()) if asynchronous else work(*args)

    try:
        client, send, close = run(make, port)
        WAYS[way](client)
    except ImportError as error:
        print(f"missing: {error}", flush=True)
        return
    run(send)
    found = connections(port)
    assert len(found) == 1, found
    asked = (True, POLICY.idle, POLICY.interval, POLICY.count)
    holds = (found[0].enabled, found[0].idle, found[0].interval, found[0].count)
    assert (holds == asked) == (way != "plain"), found
    assert found[0].enabled == (way != "plain"), found
    print("ready", flush=True)

    async def batch(size: int) -> tuple[float, float]:
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(size):
            await send()
        return time.perf_counter() - wall, time.process_time() - cpu

    for line in sys.stdin:
        if asynchronous:
            print(*loop.run_until_complete(batch(int(line))), flush=True)
        else:
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in range(int(line)):
                send()
            print(time.perf_counter() - wall, time.process_time() - cpu, flush=True)
    run(close)
    loop.close()


def connections(port: int) -> list[keptalive.SocketState]:
    """Return the state of each connection to a port among our descriptors."""
    found = []
    for entry in list(Path("/proc/self/fd").iterdir()):
        if not str(entry.readlink() if entry.is_symlink() else "").startswith("socket:"):
            continue
        with socket.socket(fileno=os.dup(int(entry.name))) as sock:
            if sock.family == socket.AF_INET and sock.getpeername()[1] == port:
                found.append(keptalive.read(sock))
    return found


if __name__ == "__main__":
    contend(sys.argv[1], int(sys.argv[2]), sys.argv[3])
