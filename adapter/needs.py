"""The names of python-socketio and python-engineio that we need, and how we call them.

What each does is in `adapter.seams`; `adapter.releases` looks whether a server has them.
"""

from typing import NamedTuple

from adapter.seams import CLIENT_LEFT, HANDLE_CONNECT, SEND_PACKET, TRANSPORT_CLOSED, TRIGGER_EVENT

__all__ = ["EIO_NEEDS", "MANAGER_NEEDS", "SERVER_NEEDS", "SOCKET_NEEDS", "TABLES", "Need"]


class Need(NamedTuple):
    """A name that we need, and how we call it.

    Attributes:
        arguments: None for an attribute that is no method.
        is_coroutine: in an asyncio server.
    """

    name: str
    arguments: tuple[str, ...] | None = None
    keywords: tuple[str, ...] = ()
    is_coroutine: bool = False


_CLIENT = ("sid", "namespace")

SERVER_NEEDS = (
    Need(HANDLE_CONNECT, ("eio_sid", "namespace", "data"), is_coroutine=True),
    Need(TRANSPORT_CLOSED, ("eio_sid", "reason"), is_coroutine=True),
    Need(SEND_PACKET, ("eio_sid", "packet"), is_coroutine=True),
    Need(TRIGGER_EVENT, ("event", "namespace", "sid", "argument"), is_coroutine=True),
    Need(CLIENT_LEFT, ("eio_sid", "namespace", "reason"), is_coroutine=True),
    Need("disconnect", _CLIENT, ("ignore_queue",), is_coroutine=True),
    Need("get_session", ("sid",), ("namespace",), is_coroutine=True),
    Need("save_session", ("sid", "session"), ("namespace",), is_coroutine=True),
    Need("shutdown", (), is_coroutine=True),
    *(Need(name) for name in ("environ", "handlers", "namespace_handlers", "packet_class", "reason")),
    Need("_binary_packet"),
)
MANAGER_NEEDS = (
    Need("pre_connect", ("eio_sid", "namespace"), is_coroutine=True),
    Need("connect", _CLIENT, is_coroutine=True),
    Need("can_disconnect", _CLIENT, is_coroutine=True),
    Need("disconnect", _CLIENT, ("ignore_queue",), is_coroutine=True),
    Need("pre_disconnect", _CLIENT),
    Need("is_connected", _CLIENT),
    Need("is_sid_room", ("namespace", "room")),
    Need("sid_from_eio_sid", ("eio_sid", "namespace")),
    Need("basic_enter_room", (*_CLIENT, "room"), ("eio_sid",)),
    Need("basic_leave_room", (*_CLIENT, "room")),
    Need("basic_disconnect", _CLIENT),
)
TABLES = tuple(Need(name) for name in ("rooms", "pending_connect", "pending_disconnect", "callbacks", "json"))
EIO_NEEDS = (
    Need("on", ("event", "handler")),
    Need("generate_id", ()),
    Need("create_queue", ()),
    Need("_bad_request", ("message",)),
    *(Need(name) for name in ("sockets", "ping_interval", "ping_timeout", "_async")),
)
SOCKET_NEEDS = (
    Need("send", ("packet",), is_coroutine=True),
    Need("close", (), ("wait", "abort", "reason"), is_coroutine=True),
    Need("schedule_ping", ()),
    Need("poll", (), is_coroutine=True),
)
