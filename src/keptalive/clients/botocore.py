"""botocore and boto3, 1.34 and later: clients, resources, sessions, and bodies still being read.

Rule: a client sends through one URLLib3Session, which has one pool manager of
urllib3 and makes one more for each proxy. Its names are private and older than
the oldest version supported; the tests run against both ends of the range. What
is not there is refused by name. botocore's own waiting is left alone: raise
`read_timeout` in its Config, or it gives up after 60 s and asks again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import botocore.client
import botocore.httpsession
import botocore.response
import botocore.session

from keptalive.clients import urllib3
from keptalive.cover import Cover
from keptalive.seams import hand_on, put_cover

_SEAMS = ("_manager", "_proxy_managers", "_get_proxy_manager")


def serves(target: object) -> bool:
    """Tell whether *target* is a client, a resource, a session of either library, or a streaming body."""
    return (
        isinstance(
            target, (botocore.client.BaseClient, botocore.session.Session, botocore.response.StreamingBody)
        )
        or _is_boto3_session(target)
        or _client_of_resource(target) is not None
    )


def hold(target: Any, cover: Cover) -> None:
    """Cover a client, the client of a resource, or every client that a session makes from now on."""
    if isinstance(target, botocore.session.Session):
        put_cover(target, cover)
        hand_on(target, "create_client", _hold_client)
    elif _is_boto3_session(target):
        put_cover(target, cover)
        hand_on(target, "client", _hold_client)  # resource() goes through it as well
    elif isinstance(target, botocore.response.StreamingBody):
        urllib3.hold(target._raw_stream, cover)
    else:
        _hold_client(_client_of_resource(target) or target, cover)


def sockets(target: Any) -> list[Any]:
    """Return the sockets of all idle connections, or the one a body is still being read from."""
    if isinstance(target, botocore.response.StreamingBody):
        return urllib3.sockets(target._raw_stream)
    client = _client_of_resource(target) or target
    if not isinstance(client, botocore.client.BaseClient):
        return []  # a session has no connections, its clients have
    return [sock for manager in _managers(client._endpoint.http_session) for sock in urllib3.sockets(manager)]


def _hold_client(client: Any, cover: Cover) -> None:
    session = client._endpoint.http_session
    if not all(hasattr(session, name) for name in _SEAMS):
        cover.refuse(
            f"the connections of {type(session).__module__}.{type(session).__qualname__} cannot be seen; "
            f"use keptalive.install()"
        )
        return
    put_cover(session, cover)
    hand_on(session, "_get_proxy_manager", urllib3.hold)
    for manager in _managers(session):
        urllib3.hold(manager, cover)


def _managers(session: Any) -> Iterator[Any]:
    yield session._manager
    yield from list(session._proxy_managers.values())


def _is_boto3_session(target: object) -> bool:
    return any(cls.__module__ == "boto3.session" for cls in type(target).__mro__)


def _client_of_resource(target: Any) -> Any:
    """Return the client of a boto3 resource, or None: a client has `meta` too, but no client in it."""
    return getattr(getattr(target, "meta", None), "client", None)
