"""databricks: a workspace's clusters, by requests; a session of the SQL connector, Thrift over urllib3."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from matrix.cells import Scenario, Target
from matrix.drivers.base import Sdk
from matrix.server import ANSWER

_kept_open: list[Any] = []


class Workspace(Sdk):
    needs = ("databricks.sdk",)
    ways = ("installed",)

    @classmethod
    def scenario(cls, name: str) -> Scenario:
        """Answer the first request at once: a new client asks for the workspace's configuration."""
        scenario = super().scenario(name)
        return replace(scenario, script=("fast", *scenario.script))

    @classmethod
    def answer(cls) -> str:
        return json.dumps({"clusters": [{"cluster_id": "slept"}]})

    async def open(self) -> Target:
        from databricks.sdk import WorkspaceClient
        from databricks.sdk.config import Config

        return WorkspaceClient(config=Config(host=self.cell.url, token="test", http_timeout_seconds=3600))

    async def fetch(self, target: Target) -> str:
        return ANSWER if next(iter(target.clusters.list())).cluster_id == "slept" else ""

    async def close(self, target: Target) -> None:
        """It has no close()."""


class Sql(Sdk):
    needs = ("databricks.sql", "thrift")
    ways = ("installed",)
    answer_headers = "Content-Type: application/x-thrift"

    @classmethod
    def answer(cls) -> str:
        """Return a session, as Thrift writes it."""
        from databricks.sql.thrift_api.TCLIService import TCLIService, ttypes
        from thrift.protocol.TBinaryProtocol import TBinaryProtocol
        from thrift.Thrift import TMessageType
        from thrift.transport.TTransport import TMemoryBuffer

        identifier = ttypes.THandleIdentifier(guid=bytes(16), secret=bytes(16))
        session = ttypes.TOpenSessionResp(
            status=ttypes.TStatus(statusCode=ttypes.TStatusCode.SUCCESS_STATUS),
            serverProtocolVersion=ttypes.TProtocolVersion.SPARK_CLI_SERVICE_PROTOCOL_V7,
            sessionHandle=ttypes.TSessionHandle(sessionId=identifier),
        )
        written = TMemoryBuffer()
        protocol = TBinaryProtocol(written)
        protocol.writeMessageBegin("OpenSession", TMessageType.REPLY, 0)
        TCLIService.OpenSession_result(success=session).write(protocol)
        protocol.writeMessageEnd()
        return written.getvalue().decode("latin-1")

    async def open(self) -> Target:
        return None

    async def fetch(self, target: Target) -> str:
        from databricks import sql

        connection = sql.connect(
            server_hostname=self.cell.host,
            http_path="/sql/1.0/warehouses/slow",
            access_token="test",
            enable_telemetry=False,
            _connection_uri=f"{self.cell.url}/sql/1.0/warehouses/slow",
            _retry_stop_after_attempts_count=1,
        )
        _kept_open.append(connection)
        return ANSWER if connection.open else ""

    async def close(self, target: Target) -> None:
        """Leave it open: to close it is one more request."""
