"""Each client with a time limit of its own, set as its users set it, asking a server that never answers.

Rule: a function a client, named by the table at the end; it takes a URL and the limit in seconds, and raises.
"""

from __future__ import annotations

import asyncio
import socket
import urllib.request
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

REQUEST = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 0\r\n\r\n"


def _where(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 0


def http_client(url: str, limit: float) -> None:
    connection = HTTPConnection(*_where(url), timeout=limit)
    try:
        connection.request("POST", "/")
        connection.getresponse()
    finally:
        connection.close()


def urllib_request(url: str, limit: float) -> None:
    urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=limit)


def plain_socket(url: str, limit: float) -> None:
    with socket.create_connection(_where(url), limit) as sock:
        sock.sendall(REQUEST)
        sock.recv(1)


def asyncio_streams(url: str, limit: float) -> None:
    async def ask() -> None:
        reader, writer = await asyncio.open_connection(*_where(url))
        try:
            writer.write(REQUEST)
            await reader.read(1)
        finally:
            writer.close()

    async def within() -> None:
        await asyncio.wait_for(ask(), limit)

    asyncio.run(within())


def urllib3(url: str, limit: float) -> None:
    import urllib3

    with urllib3.PoolManager(timeout=limit, retries=False) as manager:
        manager.request("POST", url)


def requests(url: str, limit: float) -> None:
    import requests

    with requests.Session() as session:
        session.post(url, timeout=limit)


def httpx(url: str, limit: float, library: str = "httpx") -> None:
    with __import__(library).Client(timeout=limit) as client:
        client.post(url)


def httpx_asyncio(url: str, limit: float, library: str = "httpx") -> None:
    asyncio.run(_httpx_async(url, limit, library))


def httpx_trio(url: str, limit: float, library: str = "httpx") -> None:
    import trio

    trio.run(_httpx_async, url, limit, library)


async def _httpx_async(url: str, limit: float, library: str) -> None:
    async with __import__(library).AsyncClient(timeout=limit) as client:
        await client.post(url)


def _of_httpx2(function: Callable[[str, float, str], None]) -> Callable[[str, float], None]:
    return lambda url, limit: function(url, limit, "httpx2")


def aiohttp(url: str, limit: float) -> None:
    import aiohttp

    _aiohttp(url, aiohttp.ClientTimeout(total=None, sock_connect=limit, sock_read=limit))


def aiohttp_total(url: str, limit: float) -> None:
    import aiohttp

    _aiohttp(url, aiohttp.ClientTimeout(total=limit))


def _aiohttp(url: str, timeout: Any) -> None:
    import aiohttp

    async def ask() -> None:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.post(url) as response:
            await response.read()

    asyncio.run(ask())


def anyio_asyncio(url: str, limit: float) -> None:
    import anyio

    anyio.run(_anyio, url, limit)


def anyio_trio(url: str, limit: float) -> None:
    import anyio

    anyio.run(_anyio, url, limit, backend="trio")


async def _anyio(url: str, limit: float) -> None:
    import anyio

    with anyio.fail_after(limit):
        async with await anyio.connect_tcp(*_where(url)) as stream:
            await stream.send(REQUEST)
            await stream.receive()


def botocore(url: str, limit: float) -> None:
    from botocore.config import Config
    from botocore.session import get_session

    client = get_session().create_client(
        "dynamodb",
        endpoint_url=url,
        region_name="nowhere",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(connect_timeout=limit, read_timeout=limit, retries={"total_max_attempts": 1}),
    )
    try:
        client.list_tables()
    finally:
        client.close()


_ASKED = {"messages": [{"role": "user", "content": "Take your time."}], "model": "slow-1"}


def _sdk(url: str, limit: float) -> dict[str, Any]:
    return {"base_url": url, "api_key": "test", "max_retries": 0, "timeout": limit}


def openai(url: str, limit: float) -> None:
    import openai

    with openai.OpenAI(**_sdk(url, limit)) as client:
        client.chat.completions.create(**_ASKED)


def openai_async(url: str, limit: float) -> None:
    asyncio.run(_openai_async(url, limit, None))


def openai_aiohttp(url: str, limit: float) -> None:
    import openai

    asyncio.run(_openai_async(url, limit, openai.DefaultAioHttpClient))


async def _openai_async(url: str, limit: float, http_client: Any) -> None:
    import openai

    inner = None if http_client is None else http_client()
    async with openai.AsyncOpenAI(**_sdk(url, limit), http_client=inner) as client:
        await client.chat.completions.create(**_ASKED)


def anthropic(url: str, limit: float) -> None:
    import anthropic

    with anthropic.Anthropic(**_sdk(url, limit)) as client:
        client.messages.create(max_tokens=9, **_ASKED)


def anthropic_async(url: str, limit: float) -> None:
    import anthropic

    async def ask() -> None:
        async with anthropic.AsyncAnthropic(**_sdk(url, limit)) as client:
            await client.messages.create(max_tokens=9, **_ASKED)

    asyncio.run(ask())


def tornado_simple(url: str, limit: float) -> None:
    from tornado.simple_httpclient import SimpleAsyncHTTPClient

    _tornado(url, limit, SimpleAsyncHTTPClient)


def tornado_curl(url: str, limit: float) -> None:
    from tornado.curl_httpclient import CurlAsyncHTTPClient

    _tornado(url, limit, CurlAsyncHTTPClient)


def _tornado(url: str, limit: float, cls: Any) -> None:
    from tornado.httpclient import HTTPRequest

    async def ask() -> None:
        client = cls(force_instance=True)
        try:
            await client.fetch(
                HTTPRequest(url, method="POST", body=b"", connect_timeout=limit, request_timeout=limit)
            )
        finally:
            client.close()

    asyncio.run(ask())


def pycurl(url: str, limit: float) -> None:
    import pycurl

    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, url)
    curl.setopt(pycurl.NOSIGNAL, 1)
    curl.setopt(pycurl.CONNECTTIMEOUT_MS, int(limit * 1000))
    curl.setopt(pycurl.TIMEOUT_MS, int(limit * 3000))
    try:
        curl.perform()
    finally:
        curl.close()


def websockets(url: str, limit: float) -> None:
    from websockets.sync.client import connect

    with connect(url.replace("http", "ws", 1), open_timeout=limit) as connection:
        connection.send("Take your time.")
        connection.recv(timeout=limit)


def websockets_async(url: str, limit: float) -> None:
    from websockets.asyncio.client import connect

    async def ask() -> None:
        async with connect(url.replace("http", "ws", 1), open_timeout=limit) as connection:
            await connection.send("Take your time.")
            await asyncio.wait_for(connection.recv(), limit)

    asyncio.run(ask())


def grpc(url: str, limit: float) -> None:
    import grpc

    with grpc.insecure_channel("{}:{}".format(*_where(url))) as channel:
        channel.unary_unary("/keptalive.Test/Wait")(b"", timeout=limit, wait_for_ready=True)


#: client -> its function. Names as in matrix.drivers, and two more.
TIME_LIMITS: dict[str, Callable[[str, float], None]] = {
    "http.client": http_client,
    "urllib": urllib_request,
    "socket": plain_socket,
    "asyncio": asyncio_streams,
    "urllib3": urllib3,
    "requests": requests,
    "httpx": httpx,
    "httpx+asyncio": httpx_asyncio,
    "httpx+trio": httpx_trio,
    "httpx2": _of_httpx2(httpx),
    "httpx2+asyncio": _of_httpx2(httpx_asyncio),
    "httpx2+trio": _of_httpx2(httpx_trio),
    "aiohttp": aiohttp,
    "aiohttp-total": aiohttp_total,
    "anyio+asyncio": anyio_asyncio,
    "anyio+trio": anyio_trio,
    "botocore": botocore,
    "openai": openai,
    "openai-async": openai_async,
    "openai-aiohttp": openai_aiohttp,
    "anthropic": anthropic,
    "anthropic-async": anthropic_async,
    "tornado-simple": tornado_simple,
    "tornado-curl": tornado_curl,
    "pycurl": pycurl,
    "websockets": websockets,
    "websockets-async": websockets_async,
    "grpc": grpc,
}
