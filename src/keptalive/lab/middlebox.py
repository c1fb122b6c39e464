"""The packet engine's process: it takes every frame from one link, has it judged, and puts it on the other.

Rule: input and output only; what passes, and what is sent besides, lab/packets decides. It runs in the
namespace between the client's and the server's, whose kernel forwards nothing: that answers ARP and
neighbour discovery for the gateways, and drops the packets of which copies come here (packet(7)).

PACKET_VNET_HDR puts a header of ten bytes before each frame (struct virtio_net_hdr, linux/virtio_net.h):
with it a frame may be 64 KB that TCP has not cut up yet, and its checksum may be left to whoever sends it
to a wire. Nobody does here: both pass on as they came.
"""

from __future__ import annotations

import errno
import math
import random
import select
import socket
import time
from collections import deque
from typing import Any

from keptalive.errors import LabError
from keptalive.lab.control import Handler, Owner
from keptalive.lab.faults import Faults, parse
from keptalive.lab.faults.delay import Delay
from keptalive.lab.networks import ENDS, LINKS, SIDES, Networks
from keptalive.lab.packets.firewall import Firewall
from keptalive.lab.packets.flow import CLIENT
from keptalive.lab.packets.segment import decode, encode, pass_hop, set_port

_ALL_PROTOCOLS = 0x0003  # ETH_P_ALL, linux/if_ether.h
_SOL_PACKET, _VNET_HEADER, _IGNORE_OUTGOING = 263, 15, 23  # linux/socket.h, linux/if_packet.h
_HEADER = 10  # bytes of struct virtio_net_hdr
_CHECKSUM_UNFINISHED = 0x01  # VIRTIO_NET_HDR_F_NEEDS_CSUM, in its first byte

_LARGEST = 1 << 17  # bytes; a frame has at most 64 KB and its headers
_RECEIVE_BUFFER = 16 << 20  # bytes: frames that wait while this process does not get a CPU
_AT_ONCE = 64  # frames of one side, before the other's turn
_TRIAL_ENDS = 5.0  # s that the RST of the trial may take to get here: a busy machine
_MOST_EVENTS = 400  # in one reply: each is some 200 bytes, one packet takes 128 KiB

_LOST_LIKE_ON_A_LINK = (errno.ENOBUFS, errno.ENETDOWN)  # a queue is full; a link has gone with its namespace


def main(owner: Owner) -> None:
    """Serve the packet engine."""
    middlebox = Middlebox()
    try:
        middlebox.run(owner)
    finally:
        middlebox.networks.sweep()


class Middlebox:
    """The two links, and what lies between them."""

    def __init__(self) -> None:
        self.networks = Networks()
        self._ready = select.epoll()
        self._links: list[socket.socket] = []
        self._ethernet = [_bytes_of(ENDS[side]) + _bytes_of(LINKS[side]) for side in SIDES]
        self._buffer = bytearray(_LARGEST)
        self._view = memoryview(self._buffer)
        self._delay = 0.0
        self._delayed: deque[tuple[float, int, bytes]] = deque()  # when due, to whom, header and frame
        self._firewall = Firewall(Faults(()), random.random)

    def run(self, owner: Owner) -> None:
        """Pass frames on, and answer the owner's requests, until the owner goes."""
        handlers: dict[str, Handler] = {
            "build": self.build,
            "arm": self.arm,
            "socket": self.networks.client_socket,
            "sysctl": self.networks.set_sysctl,
            "expire": self.expire,
            "events": self.tell_events,
            "start": self.tell_start,
        }
        self._ready.register(owner.socket, select.EPOLLIN)
        self._ready.register(owner.death, select.EPOLLIN)
        while True:
            due = min(self._firewall.next_due, self._delayed[0][0] if self._delayed else math.inf)
            seconds = None if due == math.inf else max(0.0, due - time.monotonic())
            ready = {descriptor for descriptor, _ in self._ready.poll(seconds)}
            # Frames first: one that came in time counts though this process got no CPU until later.
            for side, link in enumerate(self._links):
                if link.fileno() in ready:
                    self._receive(side)
            self._do_what_is_due()
            if owner.death in ready or (owner.socket.fileno() in ready and not owner.answer(handlers)):
                return

    def build(self, faults: str, spare: int) -> dict[str, Any]:
        """Make the namespaces and stand between them, with no fault yet; refuse where this cannot be done."""
        parse(faults)
        self.networks.build(spare)
        try:
            for name in SIDES:
                link = _open_link(name)
                self._links.append(link)
                self._ready.register(link, select.EPOLLIN)
        except OSError as error:
            raise LabError(f"packets cannot be taken from a link here ({error})") from error
        return self.networks.handed_over("a firewall of ours that sees every packet")

    def arm(self, faults: str) -> dict[str, Any]:
        """Start with these faults: as if no packet had come yet."""
        # The trial's RST may be on its way yet: to a firewall that does not know its flow it would be a
        # stranger, and the server would keep its end.
        deadline = time.monotonic() + _TRIAL_ENDS
        while not self._firewall.at_rest and time.monotonic() < deadline:
            select.select(self._links, [], [], _TRIAL_ENDS)
            for side in range(len(SIDES)):
                self._receive(side)
        wanted = parse(faults)
        delay = wanted.get(Delay)
        self._delay = 0.0 if delay is None else delay.milliseconds / 1000
        self._firewall = Firewall(wanted, random.random)
        return {}

    def expire(self) -> dict[str, Any]:
        """Forget every flow, now: of those too whose packets wait."""
        for side in range(len(SIDES)):
            self._receive(side)
        self._firewall.forget_all(time.monotonic())
        return {}

    def tell_events(self, after: int, *, every: bool) -> dict[str, Any]:
        """Return events from number *after* on, as many as a reply takes, and the number of the next."""
        following, events = self._firewall.journal.tell(after, _MOST_EVENTS, every=every)
        return {"next": following, "events": events}

    def tell_start(self) -> dict[str, Any]:
        """Return when the first packet of the first connection came, if one has."""
        started = self._firewall.started
        return {"started": None if started == math.inf else started}

    def _do_what_is_due(self) -> None:
        now = time.monotonic()
        if now >= self._firewall.next_due:
            self._firewall.advance(now)
        if self._firewall.outbox:
            self._send_own(now)
        while self._delayed and self._delayed[0][0] <= now:
            _, side, frame = self._delayed.popleft()
            self._put(side, frame)

    def _receive(self, side: int) -> None:
        """Take the frames that wait on a side's link, and pass on what may pass."""
        link, view = self._links[side], self._view
        for _ in range(_AT_ONCE):
            try:
                size = link.recv_into(self._buffer, 0, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno not in _LOST_LIKE_ON_A_LINK:
                    raise
                return
            frame = view[_HEADER:size]
            segment = decode(frame)
            if segment is None:
                continue  # ARP, neighbour discovery: for the kernel's own ears
            now = time.monotonic()
            port = self._firewall.receive(side, segment, now)
            if port is not None:
                finished = not self._buffer[0] & _CHECKSUM_UNFINISHED
                mine = segment.source_port if side == CLIENT else segment.destination_port
                if port != mine:
                    set_port(frame, segment.start, port, source=side == CLIENT, finished=finished)
                pass_hop(frame)
                frame[:12] = self._ethernet[1 - side]
                self._forward(1 - side, view[:size], now)
            if self._firewall.outbox:
                self._send_own(now)

    def _send_own(self, now: float) -> None:
        """Send what the firewall has to say itself."""
        for own in self._firewall.outbox:
            frame = encode(own.segment, own.payload, self._ethernet[own.side], own.hops)
            self._forward(own.side, memoryview(bytes(_HEADER) + frame), now)
        self._firewall.outbox.clear()

    def _forward(self, side: int, frame: memoryview, now: float) -> None:
        if self._delay:
            self._delayed.append((now + self._delay, side, bytes(frame)))
        else:
            self._put(side, frame)

    def _put(self, side: int, frame: memoryview | bytes) -> None:
        try:
            self._links[side].send(frame)
        except OSError as error:
            if error.errno not in _LOST_LIKE_ON_A_LINK:
                raise


def _open_link(name: str) -> socket.socket:
    """Return a socket that gets, and puts, whole frames on a link of this namespace."""
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    link.setsockopt(_SOL_PACKET, _VNET_HEADER, 1)
    link.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
    force = 33  # SO_RCVBUFFORCE, asm-generic/socket.h: more than net.core.rmem_max
    try:
        link.setsockopt(socket.SOL_SOCKET, force, _RECEIVE_BUFFER)
    except PermissionError:  # before Linux 5.18 that is for the machine's own root
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    link.bind((name, _ALL_PROTOCOLS))
    return link


def _bytes_of(address: str) -> bytes:
    return bytes.fromhex(address.replace(":", ""))
