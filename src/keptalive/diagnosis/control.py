"""The control: a fresh connection at the end. Is the path there at all, and are probes answered on it?

Rule: two connections, one answer: the first segment of one may be lost, and what drops probes may forget a
connection while they are repeated, so that data has to be tried on the other.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable

from keptalive.diagnosis.evidence import Control, Reply
from keptalive.probing.rung import FLOOR, Rung, Weather
from keptalive.probing.target import Address
from keptalive.probing.wire import TcpWire

_CONNECT = 4.0  # s: SYNs leave at 0, 1 and 3 s
_TRIES = 2  # side by side
_PROMPT = 0.3  # s that the answer to the first probes may take before data is tried as well
_DATA = b"\r\n"  # what a server of HTTP ignores before a request (RFC 9112, 2.2)
_DATA_PATIENCE = 1.5  # s for its acknowledgement: two retransmissions


async def ask_control(
    address: Address,
    weather: Weather,
    *,
    make_socket: Callable[[int], socket.socket] | None,
    began: float,
) -> Control:
    """Connect, be silent for a second, ask. *began*: the loop's time when the diagnosis began."""
    loop = asyncio.get_running_loop()
    begun = loop.time() - began
    wires = [
        TcpWire(address.family, address.sockaddr, changed=lambda: None, make_socket=make_socket)
        for _ in range(_TRIES)
    ]
    try:
        results = await asyncio.gather(
            *(asyncio.wait_for(wire.connect(), _CONNECT) for wire in wires), return_exceptions=True
        )
        reached = [wire for wire, failed in zip(wires, results, strict=True) if failed is None]
        if not reached:
            return Control(begun, connected=False, error=_reason(results[0]))
        return await _ask(reached, weather, begun)
    finally:
        await asyncio.gather(*(wire.bury() for wire in wires))


async def _ask(wires: list[TcpWire], weather: Weather, begun: float) -> Control:
    """Ask one by probes; where they are not answered at once, the other by data, after the same silence."""
    rung, spare = Rung(0, wires[0], weather), wires[-1]
    by_probes = asyncio.ensure_future(rung.settle(0.0))
    try:
        await asyncio.wait([by_probes], timeout=FLOOR + _PROMPT)
        data = None if by_probes.done() or spare is wires[0] else await _ask_by_data(spare)
        if await by_probes:
            return Control(begun, connected=True, probes="answered")
    finally:
        by_probes.cancel()
    if rung.wire.end is not None:
        return Control(begun, connected=True, probes="reset" if rung.wire.end.kind == "reset" else "closed")
    if data is None:
        data = await _ask_by_data(spare)
    return Control(begun, connected=True, probes="silent", data=data)


async def _ask_by_data(wire: TcpWire) -> Reply:
    before = wire.look().acknowledged
    try:
        wire.say(_DATA)
    except OSError:
        return "reset"
    loop = asyncio.get_running_loop()
    until = loop.time() + _DATA_PATIENCE
    while loop.time() < until:
        await asyncio.sleep(0.02)
        if wire.end is not None or wire.look().acknowledged > before:
            return "answered"  # a reset is an answer as well: what was sent arrived
    return "silent"


def _reason(error: BaseException | None) -> str:
    if isinstance(error, asyncio.TimeoutError):
        return "ETIMEDOUT"
    number = error.errno if isinstance(error, OSError) else None
    return errno.errorcode.get(number or 0, str(error))
