"""gateway-timeout:SECONDS: a request that gets no byte of an answer for SECONDS is answered by the proxy.

With `504 Gateway Time-out` and a FIN to the client, and a FIN to the server: a layer-7 proxy that gave up
waiting. It counts the server's bytes from the client's last byte on; keepalive probes do not help. Plain
HTTP only: inside TLS nobody but the server can answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keptalive.lab.faults.fault import AfterIdle

#: What the client gets.
RESPONSE = (
    b"HTTP/1.1 504 Gateway Time-out\r\n"
    b"Server: keptalive-lab\r\n"
    b"Content-Type: text/plain\r\n"
    b"Content-Length: 21\r\n"
    b"Connection: close\r\n"
    b"\r\n"
    b"504 Gateway Time-out\n"
)


@dataclass(frozen=True)
class GatewayTimeout(AfterIdle):
    """Answer a request with 504 after *seconds* without a byte from the server; probes do not count."""

    name: ClassVar[str] = "gateway-timeout"
    syntax: ClassVar[str] = "gateway-timeout:SECONDS"
    engines: ClassVar[tuple[str, ...]] = ("packet", "relay")
    counts: ClassVar[str] = "bytes"
    expires: ClassVar[bool] = False  # a proxy may stand behind a firewall that forgets
