"""tornado: the client written in Python, and the one that stands on libcurl."""

from __future__ import annotations

from matrix.cells import Target
from matrix.drivers.base import Driver, on_asyncio


class Simple(Driver):
    has_limit = True
    needs = ("tornado",)
    run = staticmethod(on_asyncio)
    matrix = ("plain", "tls", "redirect", "reconnect")  # no proxies, no pool, no retries

    async def open(self) -> Target:
        from tornado.simple_httpclient import SimpleAsyncHTTPClient

        return SimpleAsyncHTTPClient(force_instance=True)

    async def fetch(self, target: Target) -> str:
        from tornado.httpclient import HTTPRequest

        request = HTTPRequest(
            f"{self.cell.url}/",
            method=self.method,
            body=b"" if self.method == "POST" else None,
            connect_timeout=self.cell.scenario.limit or 0,
            request_timeout=self.cell.scenario.limit or 0,
            ca_certs=self.cell.ca_file,
            **self._proxy(),
        )
        return (await target.fetch(request)).body.decode()

    def _proxy(self) -> dict[str, object]:
        return {}


class OverCurl(Simple):
    needs = ("tornado", "pycurl")
    resends_if_reused = 1  # libcurl's Curl_retry_request(), of a POST too; it cannot be turned off
    matrix = ("plain", "tls", "http-proxy", "connect-proxy", "redirect", "reconnect", "pooled")

    async def open(self) -> Target:
        from tornado.curl_httpclient import CurlAsyncHTTPClient

        return CurlAsyncHTTPClient(force_instance=True)

    def _proxy(self) -> dict[str, object]:
        if not self.cell.proxy:
            return {}
        return {"proxy_host": self.cell.host, "proxy_port": self.cell.proxy_port}
