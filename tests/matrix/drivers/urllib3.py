"""urllib3: its managers, and a pool of its own."""

from __future__ import annotations

from matrix.cells import Target
from matrix.drivers.base import Driver


class Manager(Driver):
    has_limit = True
    needs = ("urllib3",)
    socks_needs = ("socks",)
    posts_with_a_retry = 2

    def _retries(self) -> object:
        from urllib3.util import Retry

        count = self.cell.scenario.retries
        return Retry(
            total=count + self.cell.scenario.redirected, status_forcelist=[503], allowed_methods=None
        )

    async def open(self) -> Target:
        import urllib3

        options = {
            "ca_certs": self.cell.ca_file,
            "retries": self._retries(),
            "timeout": self.cell.scenario.limit,
        }
        if self.cell.proxy is None:
            return urllib3.PoolManager(**options)
        if self.cell.proxy.startswith("socks"):
            from urllib3.contrib.socks import SOCKSProxyManager

            return SOCKSProxyManager(self.cell.proxy, **options)
        return urllib3.ProxyManager(self.cell.proxy, **options)

    async def fetch(self, target: Target) -> str:
        return target.request(self.method, f"{self.cell.url}/").data.decode()

    async def close(self, target: Target) -> None:
        target.clear()


class Pool(Manager):
    matrix = ("plain", "tls", "reconnect", "retry", "pooled")

    async def open(self) -> Target:
        import urllib3

        options = {"retries": self._retries(), "timeout": self.cell.scenario.limit}
        where = self.cell.host, self.cell.origin_port
        if self.cell.scenario.tls:
            return urllib3.HTTPSConnectionPool(*where, ca_certs=self.cell.ca_file, **options)
        return urllib3.HTTPConnectionPool(*where, **options)

    async def fetch(self, target: Target) -> str:
        return target.request(self.method, "/").data.decode()

    async def close(self, target: Target) -> None:
        target.close()
