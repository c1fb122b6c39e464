"""What comes with Python: http.client, urllib.request, sockets, asyncio's streams."""

from __future__ import annotations

import asyncio
import socket
import urllib.request
from http.client import HTTPConnection, HTTPSConnection
from typing import Any

from matrix.cells import Target
from matrix.drivers.base import Driver, answer_within, on_asyncio, on_uvloop

# A connection made by hand has no proxies, redirects, retries or reconnects of its own.
_BARE = ("plain", "tls", "pooled")


class HttpClient(Driver):
    has_limit = True
    matrix = ("plain", "tls", "http-proxy", "connect-proxy", "reconnect", "pooled")

    async def open(self) -> Target:
        cell, limit = self.cell, self.cell.scenario.limit
        port = cell.proxy_port if cell.proxy else cell.origin_port
        if not cell.scenario.tls:
            return HTTPConnection(cell.host, port, timeout=limit)
        connection = HTTPSConnection(cell.host, port, timeout=limit, context=cell.context())
        if cell.proxy:
            connection.set_tunnel(cell.host, cell.origin_port)
        return connection

    async def fetch(self, target: Target) -> str:
        absolute = self.cell.proxy and not self.cell.scenario.tls
        target.request(self.method, f"{self.cell.url}/" if absolute else "/")
        with target.getresponse() as response:
            return response.read().decode()


class Urllib(Driver):
    has_limit = True
    # It asks for "Connection: close" each time: there is nothing to pool, and nothing retries.
    matrix = ("plain", "tls", "http-proxy", "connect-proxy", "redirect", "reconnect")

    async def open(self) -> Target:
        proxies = {scheme: self.cell.proxy for scheme in ("http", "https") if self.cell.proxy}
        return urllib.request.build_opener(
            urllib.request.ProxyHandler(proxies),
            urllib.request.HTTPSHandler(context=self.cell.context()),
        )

    async def fetch(self, target: Target) -> str:
        request = urllib.request.Request(self.cell.url, method=self.method)
        with target.open(request, timeout=self.cell.scenario.limit) as response:
            return response.read().decode()


class Socket(Driver):
    has_limit = True
    matrix = _BARE
    bodies = ("close", "goodbye")

    async def open(self) -> Target:
        sock = socket.create_connection((self.cell.host, self.cell.origin_port), self.cell.scenario.limit)
        if not self.cell.scenario.tls:
            return sock
        return self.cell.context().wrap_socket(sock, server_hostname=self.cell.host)

    async def fetch(self, target: Target) -> str:
        target.sendall(self.request_head())
        message = b""
        while (answer := answer_within(message)) is None:
            data = target.recv(65536)
            if not data:
                return message.partition(b"\r\n\r\n")[2].decode()
            message += data
        return answer


class AsyncioStreams(Driver):
    run = staticmethod(on_asyncio)
    matrix = _BARE
    bodies = ("close", "goodbye")
    _reader: Any

    async def open(self) -> Target:
        context = self.cell.context() if self.cell.scenario.tls else None
        self._reader, writer = await asyncio.open_connection(
            self.cell.host, self.cell.origin_port, ssl=context
        )
        return writer

    async def fetch(self, target: Target) -> str:
        target.write(self.request_head())
        await target.drain()
        message = b""
        while (answer := answer_within(message)) is None:
            data = await self._reader.read(65536)
            if not data:
                return message.partition(b"\r\n\r\n")[2].decode()
            message += data
        return answer


class AsyncioStreamsUvloop(AsyncioStreams):
    needs = ("uvloop",)
    run = staticmethod(on_uvloop)
