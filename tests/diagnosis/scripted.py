"""Servers on loopback that say what a test wants them to say."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trustme

#: Given a request's head, returns what to answer, or None to hang up.
Script = Callable[[bytes], bytes | None]


@contextmanager
def serving(script: Script, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Answer every connection's requests by *script*; yield the port."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:
        threads: list[threading.Thread] = []
        open_ones: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return  # the test is over
                open_ones.append(sock)
                threads.append(threading.Thread(target=converse, args=(sock,)))
                threads[-1].start()

        def converse(sock: socket.socket) -> None:
            try:
                with sock if context is None else context.wrap_socket(sock, server_side=True) as line:
                    _converse(line, script)
            except OSError:
                pass  # the client went away, or would have no TLS of this kind

        acceptor = threading.Thread(target=accept)
        acceptor.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            acceptor.join()
            for sock in open_ones:
                _hang_up(sock)
            for thread in threads:
                thread.join()


def _hang_up(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it is closed already


def _converse(line: socket.socket, script: Script) -> None:
    head = b""
    while True:
        data = line.recv(1 << 16)
        if not data:
            return
        head += data
        while b"\r\n\r\n" in head:
            request, _, head = head.partition(b"\r\n\r\n")
            answer = script(request)
            if answer is None:
                return
            line.sendall(answer)


def certificate(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    """Return a server's side of TLS, with a certificate for *name*."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def answer(body: bytes = b"ok\n", status: str = "200 OK", *headers: str) -> bytes:
    """Return a response with its length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body
