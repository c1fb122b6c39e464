"""requests: a Session."""

from __future__ import annotations

from matrix.cells import Target
from matrix.drivers.base import Driver


class Requests(Driver):
    has_limit = True
    needs = ("requests",)
    socks_needs = ("socks",)
    posts_with_a_retry = 2

    async def open(self) -> Target:
        import requests
        from requests.adapters import HTTPAdapter
        from urllib3.util import Retry

        session = requests.Session()
        session.verify = self.cell.ca_file
        if self.cell.proxy:
            session.proxies = {"http": self.cell.proxy, "https": self.cell.proxy}
        if self.cell.scenario.retries:
            retries = Retry(total=self.cell.scenario.retries, status_forcelist=[503], allowed_methods=None)
            session.mount("http://", HTTPAdapter(max_retries=retries))
            session.mount("https://", HTTPAdapter(max_retries=retries))
        return session

    async def fetch(self, target: Target) -> str:
        limit = self.cell.scenario.limit
        with target.request(self.method, f"{self.cell.url}/", timeout=limit) as response:
            response.raise_for_status()
            return response.text
