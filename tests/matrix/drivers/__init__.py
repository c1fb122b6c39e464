"""How each client is driven: opened, asked, closed. One file a library, none imported by the tests.

Rule: a driver does what the library's users do and nothing for keepalive's sake. It imports its library
when it is made, so that the tests can read the table of clients anywhere.
"""

from __future__ import annotations

from importlib import import_module

from matrix.drivers.base import Driver

# client -> where its driver is
_DRIVERS = {
    "http.client": "stdlib:HttpClient",
    "urllib": "stdlib:Urllib",
    "socket": "stdlib:Socket",
    "asyncio": "stdlib:AsyncioStreams",
    "asyncio+uvloop": "stdlib:AsyncioStreamsUvloop",
    "urllib3": "urllib3:Manager",
    "urllib3-pool": "urllib3:Pool",
    "requests": "requests:Requests",
    "httpx": "httpx:Httpx",
    "httpx+asyncio": "httpx:HttpxAsyncio",
    "httpx+trio": "httpx:HttpxTrio",
    "httpx+uvloop": "httpx:HttpxUvloop",
    "httpx2": "httpx:Httpx2",
    "httpx2+asyncio": "httpx:Httpx2Asyncio",
    "httpx2+trio": "httpx:Httpx2Trio",
    "httpx2+uvloop": "httpx:Httpx2Uvloop",
    "aiohttp": "aiohttp:Aiohttp",
    "aiohttp+uvloop": "aiohttp:AiohttpUvloop",
    "anyio+asyncio": "anyio:AnyioAsyncio",
    "anyio+trio": "anyio:AnyioTrio",
    "anyio+uvloop": "anyio:AnyioUvloop",
    "botocore": "botocore:Botocore",
    "openai": "sdks:OpenAI",
    "openai-async": "sdks:AsyncOpenAI",
    "openai-aiohttp": "sdks:OpenAIOverAiohttp",
    "anthropic": "sdks:Anthropic",
    "anthropic-async": "sdks:AsyncAnthropic",
    "tornado-simple": "tornado:Simple",
    "tornado-curl": "tornado:OverCurl",
    "pycurl": "pycurl:Pycurl",
    "websockets": "websockets:Sync",
    "websockets-async": "websockets:Asyncio",
}

CLIENTS = tuple(_DRIVERS)

# The SDKs that people hang with, and libraries with sockets of their own in C: they have tests of their own.
_SDK_DRIVERS = {
    "kubernetes": "kubernetes:Kubernetes",
    "google-genai": "google_genai:Genai",
    "google-genai, async": "google_genai:AsyncGenai",
    "elasticsearch": "elasticsearch:Elastic",
    "elasticsearch, async": "elasticsearch:AsyncElastic",
    "litellm": "litellm:Litellm",
    "litellm, async": "litellm:AsyncLitellm",
    "azure-storage-blob": "azure:Blobs",
    "azure-storage-blob, async": "azure:AsyncBlobs",
    "databricks-sdk": "databricks:Workspace",
    "databricks-sql-connector": "databricks:Sql",
    "redis": "redis:Redis",
    "psycopg": "postgres:Psycopg",
    "psycopg2": "postgres:Psycopg2",
    "grpcio": "grpc:Grpc",
}

SDKS = tuple(_SDK_DRIVERS)


def driver(client: str) -> type[Driver]:
    """Return the class that drives *client*."""
    module, _, name = {**_DRIVERS, **_SDK_DRIVERS}[client].partition(":")
    cls: type[Driver] = getattr(import_module(f"matrix.drivers.{module}"), name)
    return cls
