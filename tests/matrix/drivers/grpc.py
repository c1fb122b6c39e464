"""grpcio: one unary call, over the socket of its C core."""

from __future__ import annotations

from keptalive import Policy
from keptalive.clients.grpc import channel_options
from matrix.cells import GRPC_METHOD, KEEPING, Target
from matrix.drivers.base import Sdk


class Grpc(Sdk):
    needs = ("grpc",)
    server = "grpc"
    ways = ("own", "run")
    own_probes = False

    async def open(self) -> Target:
        import grpc

        options = channel_options(Policy.parse(KEEPING)) if self.cell.variant == "own" else []
        return grpc.insecure_channel(f"{self.cell.host}:{self.cell.origin_port}", options=options)

    async def fetch(self, target: Target) -> str:
        return target.unary_unary(GRPC_METHOD)(b"", timeout=3600).decode()
