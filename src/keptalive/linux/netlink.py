"""Netlink dumps over a raw socket: one request out, runs of like messages back.

Rule: framing only (netlink(7), include/uapi/linux/netlink.h); what is in a message is
its protocol's business. Nothing is believed unchecked: a datagram that does not come
from the kernel is dropped, a message that answers another request is skipped, and one
that is longer than its datagram is an error.

A dump arrives as datagrams of up to 32 KB with hundreds of messages that differ only
behind their headers. They are handed on in runs, so that one `Struct.iter_unpack` decodes
a run: thirty times faster than message by message.
"""

from __future__ import annotations

import _socket  # not `socket`, whose enums take 8 ms of every `keptalive ps`
import errno
import os
from collections.abc import Iterator
from itertools import count
from struct import Struct
from struct import error as StructError

from keptalive.errors import NoSuchProcess, NotPermitted, NotSupported, SocketError

AF_NETLINK = 16
NETLINK_SOCK_DIAG = 4

NLMSG_ERROR, NLMSG_DONE = 2, 3
_REQUEST_DUMP = 0x001 | 0x300  # NLM_F_REQUEST | NLM_F_DUMP

HEADER = Struct("=IHHII")  # length, type, flags, sequence, port
_CODE = Struct("=i")  # what follows the header of NLMSG_ERROR, and of NLMSG_DONE
_DATAGRAM = 65536  # netlink_recvmsg() never fills more than 32 KB of it

_sequences = count(1)


def open_socket(namespace_of: int | None = None) -> _socket.socket:
    """Return a netlink socket to the table of sockets of this thread's network namespace.

    namespace_of: of the namespace of this process instead. Raises NotSupported where the
    kernel has no such table (before Linux 3.3, or another system), NoSuchProcess, and
    NotPermitted where this user may not enter that namespace.
    """
    if namespace_of is not None and not _is_own(namespace_of):
        return _open_socket_of(namespace_of)
    try:
        return _socket.socket(AF_NETLINK, _socket.SOCK_RAW, NETLINK_SOCK_DIAG)
    except OSError as error:
        raise NotSupported(f"this kernel does not list its sockets by netlink: {error.strerror}") from error


def _is_own(pid: int) -> bool:
    """Tell whether that process is in this thread's network namespace, which anybody may look at."""
    from keptalive.linux.processes import network_namespace

    try:
        theirs, own = os.stat(network_namespace(pid)), os.stat("/proc/thread-self/ns/net")  # noqa: PTH116
    except OSError:
        return False  # hidden from this user, or gone: what follows says which
    return os.path.samestat(theirs, own)


def _open_socket_of(pid: int) -> _socket.socket:
    """Open the socket in a thread of its own: a namespace is a thread's, and going back may be forbidden."""
    from concurrent.futures import Future
    from threading import Thread

    from keptalive.linux import namespaces, processes

    opened: Future[_socket.socket] = Future()

    def enter_and_open() -> None:
        try:
            namespaces.enter(descriptor, namespaces.CLONE_NEWNET)
            opened.set_result(open_socket())
        except Exception as error:  # noqa: BLE001  # it is raised where the result is asked for
            opened.set_exception(error)

    try:
        descriptor = os.open(processes.network_namespace(pid), os.O_RDONLY | os.O_CLOEXEC)
        try:
            thread = Thread(target=enter_and_open)
            thread.start()
            thread.join()
            return opened.result()
        finally:
            os.close(descriptor)
    except PermissionError as error:
        hint = (
            f"as root; for a process in a user namespace of yours: "
            f"nsenter -t {pid} -U --preserve-credentials -n keptalive ps"
        )
        message = f"the network namespace of process {pid} is closed to this user"
        raise NotPermitted(error.errno, message).with_hint(hint) from error
    except (FileNotFoundError, ProcessLookupError) as error:
        raise NoSuchProcess(errno.ESRCH, f"there is no process {pid}") from error


def dump(sock: _socket.socket, kind: int, body: bytes) -> Iterator[tuple[int, bytes]]:
    """Send one dump request; yield (length, messages): whole messages of type *kind*, end to end.

    All messages of a run have the same *length*, header of 16 bytes included. Raises
    SocketError with the kernel's errno if it refuses, EBADMSG for an answer cut short.
    """
    sequence = next(_sequences) & 0xFFFFFFFF
    sock.send(HEADER.pack(HEADER.size + len(body), kind, _REQUEST_DUMP, sequence, 0) + body)
    while True:
        datagram, sender = sock.recvfrom(_DATAGRAM)
        if sender[0] != 0:  # port 0 is the kernel's alone
            continue
        for found, length, messages in split(datagram, sequence):
            if found in (NLMSG_ERROR, NLMSG_DONE):
                _raise_for(messages)
                if found == NLMSG_DONE:
                    return
            elif found == kind:
                yield length, messages


def split(datagram: bytes, sequence: int) -> Iterator[tuple[int, int, bytes]]:
    """Yield (type, length, messages) for each run of messages that answer request *sequence*.

    Raises SocketError (EBADMSG) for a message that does not fit into the datagram.
    """
    offset = 0
    while offset < len(datagram):
        try:
            length, kind, _, answers, _ = HEADER.unpack_from(datagram, offset)
        except StructError:
            raise _cut_short() from None
        if not HEADER.size <= length <= len(datagram) - offset:
            raise _cut_short()
        end = _end_of_run(datagram, offset, length)
        if answers == sequence:
            yield kind, length, datagram[offset:end]
        offset = end + -end % 4  # each message starts at a multiple of four


def _end_of_run(datagram: bytes, offset: int, length: int) -> int:
    """Return where the messages end that have the same header as the one at *offset*."""
    if length % 4:
        return offset + length
    header = datagram[offset : offset + HEADER.size]
    most = (len(datagram) - offset) // length
    end = offset + most * length
    if all(datagram[offset + i : end : length] == header[i : i + 1] * most for i in range(HEADER.size)):
        return end
    end = offset + length
    while end + length <= len(datagram) and datagram.startswith(header, end):
        end += length
    return end


def _raise_for(message: bytes) -> None:
    """Raise what NLMSG_ERROR, or the end of a dump that failed, carries; 0 is no error."""
    try:
        (code,) = _CODE.unpack_from(message, HEADER.size)
    except StructError:
        raise _cut_short() from None
    if code < 0:
        raise SocketError(-code, f"the kernel would not list its sockets: {os.strerror(-code)}")


def _cut_short() -> SocketError:
    return SocketError(errno.EBADMSG, "the kernel's answer was cut short; try again")
