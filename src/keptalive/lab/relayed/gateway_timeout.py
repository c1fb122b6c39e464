"""gateway-timeout:SECONDS: who gets no byte of an answer to a whole HTTP request is answered by the relay.

Rule: it listens to the bytes that pass, and changes none. What is no plain HTTP/1 passes untouched.
"""

from __future__ import annotations

import time
from functools import partial

from keptalive.lab.faults.gateway_timeout import RESPONSE
from keptalive.lab.flows import Flow
from keptalive.lab.http_requests import Requests
from keptalive.lab.relayed.piece import Piece, Site


class GatewayTimeout(Piece):
    """Sends 504, and closes both connections, *seconds* after a request's last byte."""

    def __init__(self, seconds: float, site: Site) -> None:
        self._seconds, self._site = seconds, site
        self._asked: dict[Flow, float] = {}  # since when a whole request waits for an answer
        self._timed: set[Flow] = set()  # those that are looked at when their time has come

    def opened(self, flow: Flow) -> None:
        """Listen to both ends."""
        requests = Requests()

        def client_sent(data: memoryview) -> None:
            before = requests.whole
            requests.feed(data)
            if requests.whole > before:
                self._asked[flow] = time.monotonic()
                self._look_later(flow)

        def server_sent(data: memoryview) -> None:
            self._asked.pop(flow, None)

        flow.client.tell(client_sent)
        flow.server.tell(server_sent)

    def over(self, flow: Flow) -> None:
        """Listen no more."""
        self._asked.pop(flow, None)

    def _look_later(self, flow: Flow) -> None:
        if flow not in self._timed:
            self._timed.add(flow)
            self._site.poller.at(self._asked[flow] + self._seconds, partial(self._look, flow))

    def _look(self, flow: Flow) -> None:
        self._timed.discard(flow)
        asked = self._asked.get(flow)
        if asked is None:
            return
        waited = time.monotonic() - asked
        if waited < self._seconds:
            self._look_later(flow)  # that was another request
            return
        self._site.record("expired", f"{flow.name}: no answer for {waited:.2f} s")
        if self._site.dark:
            self._site.keep_silent(flow)
            return
        self._site.record("closed", f"{flow.name}: 504 to the client, FIN to both ends", "firewall")
        try:
            flow.client.send(RESPONSE)
        except OSError:
            flow.reset()
        flow.close()
