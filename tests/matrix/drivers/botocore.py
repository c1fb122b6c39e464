"""botocore: a client for DynamoDB, whose every operation is a POST that answers with JSON."""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

from matrix.cells import Target
from matrix.drivers.base import Driver
from matrix.server import ANSWER

_making_a_client = threading.Lock()  # a session is for one thread, and loads its megabytes of JSON once


@cache
def _session() -> Any:
    from botocore.session import get_session

    return get_session()


class Botocore(Driver):
    has_limit = True
    needs = ("botocore",)
    matrix = ("plain", "tls", "http-proxy", "connect-proxy", "reconnect", "retry", "pooled")
    posts_with_a_retry = 2

    async def open(self) -> Target:
        from botocore.config import Config

        config = Config(
            proxies={"http": self.cell.proxy, "https": self.cell.proxy} if self.cell.proxy else {},
            retries={"total_max_attempts": 1 + self.cell.scenario.retries, "mode": "standard"},
            read_timeout=self.cell.scenario.limit or 3600,
            connect_timeout=self.cell.scenario.limit or 60,
        )
        with _making_a_client:
            return _session().create_client(
                "dynamodb",
                endpoint_url=self.cell.url,
                region_name="nowhere",
                aws_access_key_id="test",
                aws_secret_access_key="test",
                verify=self.cell.ca_file,
                config=config,
            )

    async def fetch(self, target: Target) -> str:
        return ANSWER if target.list_tables()["TableNames"] == ["slept"] else ""
