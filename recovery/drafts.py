"""The entries that a server appends, each as one method with typed arguments.

What they mean is said at `recovery.entries.Kind`; `recovery.core.dispatcher` reads them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recovery.entries import Kind, PayloadCodec, make_draft
from recovery.errors import EncodingError
from recovery.records import Audience, Draft, Namespace, Room, ServerId, Sid
from recovery.rooms import check_rooms
from recovery.sessions import encode_user_session

__all__ = ["Drafts"]

_PACKET_TYPE_EVENT = 2  # Socket.IO protocol v5, "Packet types"


@dataclass(frozen=True, slots=True)
class Drafts:
    """Makes the entries of one server.

    All methods raise `EncodingError` for data that cannot be stored.

    Attributes:
        max_packet_bytes: an entry with more is refused; None for no limit.
    """

    server: ServerId
    codec: PayloadCodec
    max_packet_bytes: int | None = None

    def broadcast(
        self,
        namespace: Namespace,
        args: Sequence[Any],
        audience: Audience,
        *,
        volatile: bool = False,
        request_id: str | None = None,
    ) -> Draft:
        """An event; with a request id, one that is to be acknowledged to this server."""
        flags: dict[str, bool] = {"volatile": True} if volatile else {}
        payload: dict[str, Any] = {
            "packet": {"type": _PACKET_TYPE_EVENT, "data": list(args)},
            "opts": _opts(audience, flags),
        }
        if request_id is not None:
            payload["requestId"] = request_id
        return self._make(Kind.BROADCAST, payload, namespace, audience.rooms)

    def acknowledge(
        self, namespace: Namespace, server: ServerId, request_id: str, args: Sequence[Any]
    ) -> Draft:
        """A client's acknowledgement, for the server that asked."""
        payload = {"requestId": request_id, "packet": list(args)}
        return self._make(Kind.ACK, payload, namespace, target=server)

    def change_rooms(
        self, kind: Kind, namespace: Namespace, audience: Audience, rooms: Sequence[Room]
    ) -> Draft:
        """The audience enters (`Kind.JOIN`) or leaves (`Kind.LEAVE`) rooms."""
        payload = {"opts": _opts(audience, {}), "rooms": list(rooms)}
        return self._make(kind, payload, namespace, audience.rooms)

    def disconnect(self, namespace: Namespace, audience: Audience, *, close: bool = False) -> Draft:
        """The audience is disconnected, and its sessions end; with `close`, so are its transports."""
        payload = {"opts": _opts(audience, {}), "close": close}
        return self._make(Kind.DISCONNECT, payload, namespace, audience.rooms)

    def server_event(self, namespace: Namespace, args: Sequence[Any]) -> Draft:
        """An event for the servers of the cluster, not for clients."""
        return self._make(Kind.SERVER_EVENT, {"packet": list(args)}, namespace)

    def takeover(self, namespace: Namespace, sid: Sid, number: int, holder: ServerId) -> Draft:
        """Claim `number` has the session from here on; `holder` is asked to say when it let go."""
        payload = {"sid": sid, "claim": number, "holder": holder}
        return self._make(Kind.TAKEOVER, payload, namespace, (sid,))

    def released(self, namespace: Namespace, sid: Sid, number: int, claimer: ServerId) -> Draft:
        """The disconnect handler for `sid` has finished; claim `number` need not wait any longer."""
        return self._make(Kind.RELEASED, {"sid": sid, "claim": number}, namespace, target=claimer)

    def set_session(self, namespace: Namespace, sid: Sid, data: Mapping[str, Any]) -> Draft:
        """The user session of a client that may be anywhere is replaced."""
        return self._make(Kind.SET_SESSION, {"session": encode_user_session(data)}, namespace, (sid,))

    def fetch_session(self, namespace: Namespace, sid: Sid, request_id: str) -> Draft:
        """Ask whoever has the client for its user session."""
        return self._make(Kind.FETCH_SESSION, {"requestId": request_id}, namespace, (sid,))

    def session(
        self, namespace: Namespace, server: ServerId, request_id: str, data: Mapping[str, Any]
    ) -> Draft:
        """The answer to `fetch_session`."""
        payload = {"requestId": request_id, "session": encode_user_session(data)}
        return self._make(Kind.SESSION, payload, namespace, target=server)

    def _make(
        self,
        kind: Kind,
        payload: Mapping[str, Any],
        namespace: Namespace,
        rooms: Sequence[Room] = (),
        *,
        target: ServerId | None = None,
    ) -> Draft:
        draft = make_draft(
            kind, payload, self.codec, server=self.server, namespace=namespace, rooms=rooms, target=target
        )
        size = draft.size()
        if self.max_packet_bytes is not None and size > self.max_packet_bytes:
            raise EncodingError(
                f"the packet has {size} bytes, more than max_packet_bytes ({self.max_packet_bytes}):"
                " send less at once, or raise that setting on all servers"
            )
        return draft


def _opts(audience: Audience, flags: Mapping[str, bool]) -> dict[str, Any]:
    check_rooms(audience.excluded)
    return {"rooms": list(audience.rooms), "except": list(audience.excluded), "flags": dict(flags)}
