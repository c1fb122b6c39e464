"""What a single exception, whatever library it is from, says about its connection.

Rule: a sign is a number of the kernel's, or the name of a class that its library raises for one thing only.
A class that a library raises for several things is a sign of all of them, and called so.
"""

from __future__ import annotations

import sys
from typing import Any

from keptalive.diagnosis.exception_chain import Link, attributes, in_coroutines_of, kinds, phase
from keptalive.diagnosis.exception_numbers import (
    Cause,
    Doing,
    Sign,
    number_in,
    number_of,
    sign_of_number,
    sign_of_words,
)

# Ends of a stream, where there should have been more.
_ENDS = {("http", "RemoteDisconnected"), ("http", "IncompleteRead"), ("ssl", "SSLError")}


def sign(link: Link) -> Sign | None:
    """Return what an exception says, or None if it says nothing."""
    error = link.error
    number = number_of(error)
    if number is not None:
        return sign_of_number(number, link)
    for library, name in kinds(error):
        if library in ("pycurl", "tornado") and name in ("error", "CurlError"):
            return _sign_of_curl(error)
        if library == "grpc" and name == "RpcError":
            return _sign_of_grpc(error)
        if (library, name) in _ENDS:
            return _sign_of_an_end(link)
    return _sign_of_class(link)


_TIME_LIMITS: dict[str, Doing | None] = {
    "ConnectTimeoutError": "connecting",
    "ConnectTimeout": "connecting",
    "ConnectionTimeoutError": "connecting",
    "ReadTimeoutError": "established",
    "ReadTimeout": "established",
    "WriteTimeout": "established",
    "SocketTimeoutError": "established",
    "PoolTimeout": "pool",
    "EmptyPoolError": "pool",
    "TooSlowError": None,  # trio
    "HTTPTimeoutError": None,  # tornado
    "ServerTimeoutError": None,  # aiohttp
    "APITimeoutError": None,  # openai, anthropic
    "TimeoutException": None,  # httpx
    "Timeout": None,  # requests
    "TimeoutError": None,  # Python's own, without a number; urllib3, concurrent.futures
}
# Those that their libraries raise for one thing only, and for which.
_ONE_THING: dict[tuple[str, str], Cause] = {
    ("keptalive", "ConnectionLost"): "killed",  # it was not the peer's FIN: that is all that is known
    ("socket", "gaierror"): "no-such-host",
    ("aiohttp", "ClientConnectionResetError"): "over-before-sending",
}
# An end of file, on an event loop.
_ENDS_ON_A_LOOP = {
    ("aiohttp", "ServerDisconnectedError"),
    ("aiohttp", "ContentLengthError"),
    ("aiohttp", "TransferEncodingError"),
    ("asyncio", "IncompleteReadError"),
}
# Those that may mean more than one thing, unless something nearer to the socket says which.
_SEVERAL_THINGS: dict[tuple[str, str], Cause] = {
    ("anyio", "BrokenResourceError"): "killed",  # a FIN is EndOfStream
    ("trio", "BrokenResourceError"): "killed",
    ("tornado", "HTTPStreamClosedError"): "ended",
    ("tornado", "StreamClosedError"): "ended",
    ("httpx", "ReadError"): "ended",
    ("httpx2", "ReadError"): "ended",
    ("httpcore", "ReadError"): "ended",
    ("httpcore2", "ReadError"): "ended",
    ("botocore", "ConnectionClosedError"): "ended",
    ("aiohttp", "ClientPayloadError"): "ended",
    ("builtins", "ConnectionResetError"): "ended",  # without a number: asyncio's "Connection lost"
}


def _sign_of_class(link: Link) -> Sign | None:
    for library, name in kinds(link.error):
        if (library, name) in _ONE_THING:
            return Sign(_ONE_THING[library, name])
        if (library, name) in _ENDS_ON_A_LOOP:
            return _closed(link, on_a_loop=True)
        if name == "RemoteProtocolError" or (library, name) == ("builtins", "EOFError"):
            return _sign_of_an_end(link)
        if library == "websockets" and name == "ConnectionClosed":
            return _sign_of_websocket(link.error)
        if (library, name) in _SEVERAL_THINGS:
            return Sign(_SEVERAL_THINGS[library, name], weak=True)
        if name in _TIME_LIMITS:
            return Sign("client-timeout", doing=_doing(library, name, link), weak=True)
    return None


def _doing(library: str, name: str, link: Link) -> Doing | None:
    """Return what a client was doing when its time limit ran out, as far as it tells."""
    if name == "HTTPTimeoutError":
        text = str(link.error)
        return "connecting" if "connecting" in text else "established" if "during request" in text else None
    if (library, name) == ("builtins", "TimeoutError"):
        return phase(link)
    return _TIME_LIMITS[name]


# Before these releases an SSLSocket that was killed reads as one that was closed (gh-115627).
_READS_DEATH_AS_END = sys.version_info < (3, 11, 9) or (3, 12) <= sys.version_info < (3, 12, 3)


def _sign_of_an_end(link: Link) -> Sign | None:
    """Return what the end of a stream says: the other end closed; or no more than that it ended."""
    error = link.error
    names = set(kinds(error))
    if ("ssl", "SSLError") in names:
        if getattr(error, "reason", None) == "UNEXPECTED_EOF_WHILE_READING":
            return _closed(link)  # OpenSSL 3 read the end; where it says "EOF occurred", its read failed
        return Sign("ended") if "EOF occurred" in str(error) else None
    if ("builtins", "EOFError") in names and not _of_a_websocket(link):
        return None  # of a file, a terminal
    if "RemoteProtocolError" in {name for _, name in names}:
        text = str(error)
        if "Server disconnected" not in text and "peer closed connection" not in text:
            return None  # it said something that is no HTTP
    return _closed(link)


def _of_a_websocket(link: Link) -> bool:
    return any(("websockets", "ConnectionClosed") in kinds(wrapper) for wrapper in link.wrappers)


_ON_BOTH = {"httpx", "httpx2", "httpcore", "httpcore2", "websockets"}  # they block, or run on an event loop


def _closed(link: Link, *, on_a_loop: bool = False) -> Sign:
    """Return what an end that was read as the peer's FIN says, for what reads it.

    libuv, and with it uvloop, takes an RST that it finds together with data for an end (uv__stream_io()).
    """
    if on_a_loop or any(in_coroutines_of(error, _ON_BOTH) for error in link.path):
        return Sign("closed-or-reset" if "uvloop" in sys.modules else "closed")
    plain = any(str(_url(error)).startswith("http://") for error in link.path)
    return Sign("ended" if _READS_DEATH_AS_END and not plain else "closed")


def _url(error: BaseException) -> object:
    """Return the URL of the request that requests, httpx ("_request") and the SDKs keep with an exception."""
    held = attributes(error)
    return getattr(held.get("request") or held.get("_request"), "url", None)


def _sign_of_websocket(error: BaseException) -> Sign | None:
    """Return what the end of a WebSocket says beyond what it was caused by."""
    sent, received = attributes(error).get("sent"), attributes(error).get("rcvd")
    if sent is not None and "ping timeout" in sent.reason and received is None:
        return Sign("client-timeout", doing="ping")
    return Sign("closed" if received is not None else "ended", weak=received is None)


# curl/curl.h
_CURL_NO_CONNECTION, _CURL_TIME_IS_OUT = 7, 28
_CURL: dict[int, Cause] = {
    6: "no-such-host",
    _CURL_NO_CONNECTION: "no-connection",
    18: "closed",  # CURLE_PARTIAL_FILE
    52: "closed",  # CURLE_GOT_NOTHING
}


def _sign_of_curl(error: Any) -> Sign | None:
    """Return what libcurl's code and words say: pycurl.error(code, words), tornado's CurlError."""
    if len(error.args) < 2:
        return None
    code = error.errno if hasattr(error, "errno") else error.args[0]  # tornado's args are (599, words)
    words = str(error.args[1])
    if code == _CURL_TIME_IS_OUT:
        connecting = "onnection timed out after" in words or "Failed to connect" in words
        return Sign("client-timeout", doing="connecting" if connecting else "established")
    number = number_in(words)
    if number is not None:
        return sign_of_words(number, connecting=code == _CURL_NO_CONNECTION)
    if "unexpected eof" in words:
        return Sign("closed")
    return Sign(_CURL[code]) if code in _CURL else None


def _sign_of_grpc(error: Any) -> Sign | None:
    """Return what gRPC's status says; its words come from its C core, and name the kernel's error."""
    try:
        status, words = error.code().name, str(error.details())
    except AttributeError:  # a time limit of its own: FutureTimeoutError and others
        return None
    if status == "DEADLINE_EXCEEDED":
        return Sign("client-timeout")
    if status != "UNAVAILABLE":
        return None
    if "ping timeout" in words or "watchdog timeout" in words:
        return Sign("client-timeout", doing="ping")
    number = number_in(words)
    if number is not None:
        return sign_of_words(number, connecting="failed to connect" in words)
    return Sign("ended") if "ocket closed" in words else None
