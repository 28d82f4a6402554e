"""The clients of this server as others see them: id, handshake, rooms and data."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from adapter.seams import EioPacket
from recovery.core.connection import Connection
from recovery.peers import RemoteSocket
from recovery.records import ServerId

__all__ = ["describe", "fields_of"]

_OWN_NAMES = {"CONTENT_TYPE": "content-type", "CONTENT_LENGTH": "content-length"}


def describe(connection: Connection[EioPacket], environ: Mapping[str, Any], server: ServerId) -> RemoteSocket:
    """A client that is connected here."""
    rooms = tuple(connection.membership.rooms())
    return RemoteSocket(connection.sid, handshake_of(environ), rooms, dict(connection.user_session), server)


def fields_of(socket: RemoteSocket, *, with_data: bool = True) -> dict[str, Any]:
    """A client as Node's adapter writes it."""
    data = dict(socket.data) if with_data else {}
    return {"id": socket.id, "handshake": socket.handshake, "rooms": list(socket.rooms), "data": data}


def handshake_of(environ: Mapping[str, Any]) -> dict[str, Any]:
    """What Node calls the handshake of a client, from the environment of its first request.

    Without ``auth``, which may hold credentials and is not kept, and without the time, which nobody noted.

    >>> handshake_of({"QUERY_STRING": "EIO=4", "PATH_INFO": "/socket.io/", "HTTP_USER_AGENT": "me"})["query"]
    {'EIO': '4'}
    """
    headers = {
        _OWN_NAMES.get(name) or name[5:].replace("_", "-").lower(): str(value)
        for name, value in environ.items()
        if name in _OWN_NAMES or name.startswith("HTTP_")
    }
    query = str(environ.get("QUERY_STRING", ""))
    path = str(environ.get("PATH_INFO", ""))
    return {
        "headers": headers,
        "address": str(environ.get("REMOTE_ADDR", "")),
        "xdomain": "origin" in headers,
        "secure": environ.get("wsgi.url_scheme") == "https",
        "url": f"{path}?{query}" if query else path,
        "query": {name: values[-1] for name, values in parse_qs(query).items()},
        "auth": {},
    }
