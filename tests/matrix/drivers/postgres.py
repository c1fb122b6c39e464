"""psycopg and psycopg2: a query that takes long, over libpq's own socket, to a real PostgreSQL."""

from __future__ import annotations

from typing import Any

from matrix.cells import DELAY, KEEPING, Target
from matrix.databases import postgres_programs
from matrix.drivers.base import Sdk
from matrix.server import ANSWER

_IDLE, _INTERVAL, _COUNT = KEEPING.split(":")


class Psycopg(Sdk):
    needs = ("psycopg",)
    server = "postgres"
    ways = ("own", "run")
    by_itself = "7200:75:9"  # libpq turns keepalive on and leaves the rest to the system

    @classmethod
    def missing(cls, scenario: str) -> list[str]:
        return super().missing(scenario) + ([] if postgres_programs() else ["PostgreSQL"])

    @property
    def parameters(self) -> dict[str, Any]:
        own = {"keepalives_idle": _IDLE, "keepalives_interval": _INTERVAL, "keepalives_count": _COUNT}
        return {
            "host": self.cell.host,
            "port": self.cell.origin_port,
            "user": "test",
            "dbname": "postgres",
            **(own if self.cell.variant == "own" else {}),
        }

    async def open(self) -> Target:
        import psycopg

        return psycopg.connect(**self.parameters)

    async def fetch(self, target: Target) -> str:
        if self.cell.scenario.script == ("fast",):
            return ANSWER
        with target.cursor() as cursor:
            cursor.execute(f"SELECT pg_sleep({DELAY}), 'slept'")
            return ANSWER if cursor.fetchone()[1] == "slept" else ""


class Psycopg2(Psycopg):
    needs = ("psycopg2",)

    async def open(self) -> Target:
        import psycopg2

        return psycopg2.connect(**self.parameters)
