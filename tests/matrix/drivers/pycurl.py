"""pycurl: one Curl handle, used again for each request."""

from __future__ import annotations

from matrix.cells import Target
from matrix.drivers.base import Driver


class Pycurl(Driver):
    has_limit = True
    needs = ("pycurl",)
    retries_after = "drop-reused"  # libcurl's own: a connection that was good once is tried anew
    posts_with_a_retry = 1
    resends_if_reused = 1  # libcurl's Curl_retry_request(), of a POST too; it cannot be turned off

    async def open(self) -> Target:
        import pycurl

        curl = pycurl.Curl()
        curl.setopt(pycurl.URL, f"{self.cell.url}/")
        curl.setopt(pycurl.CAINFO, self.cell.ca_file)
        curl.setopt(pycurl.FOLLOWLOCATION, 1)
        curl.setopt(pycurl.FAILONERROR, 1)
        curl.setopt(pycurl.NOSIGNAL, 1)  # libcurl in threads must not use signals
        curl.setopt(pycurl.TIMEOUT_MS, int(1000 * (self.cell.scenario.limit or 0)))
        if self.method == "POST":
            curl.setopt(pycurl.POST, 1)
            curl.setopt(pycurl.POSTFIELDS, "")
        if self.cell.proxy:
            curl.setopt(pycurl.PROXY, self.cell.proxy)
        return curl

    async def fetch(self, target: Target) -> str:
        return target.perform_rs()
