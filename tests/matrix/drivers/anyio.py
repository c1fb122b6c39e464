"""anyio: a TCP or TLS stream, on each event loop."""

from __future__ import annotations

from matrix.cells import Target
from matrix.drivers.base import Driver, answer_within, on_asyncio, on_trio, on_uvloop


class AnyioAsyncio(Driver):
    needs = ("anyio",)
    run = staticmethod(on_asyncio)
    matrix = ("plain", "tls", "pooled")
    bodies = ("close", "goodbye")

    async def open(self) -> Target:
        import anyio

        if not self.cell.scenario.tls:
            return await anyio.connect_tcp(self.cell.host, self.cell.origin_port)
        return await anyio.connect_tcp(
            self.cell.host,
            self.cell.origin_port,
            tls=True,
            ssl_context=self.cell.context(),
            tls_standard_compatible=False,
        )

    async def fetch(self, target: Target) -> str:
        import anyio

        await target.send(self.request_head())
        message = b""
        while (answer := answer_within(message)) is None:
            try:
                message += await target.receive()
            except anyio.EndOfStream:
                return message.partition(b"\r\n\r\n")[2].decode()
        return answer

    async def close(self, target: Target) -> None:
        await target.aclose()


class AnyioTrio(AnyioAsyncio):
    needs = ("anyio", "trio")
    run = staticmethod(on_trio)


class AnyioUvloop(AnyioAsyncio):
    needs = ("anyio", "uvloop")
    run = staticmethod(on_uvloop)
