"""The roster: which other servers of the cluster were heard of lately, and what they said of themselves."""

from collections.abc import Iterable
from dataclasses import dataclass

from recovery.offsets import Offset
from recovery.peers import PeerKind, Report, ServerRecord
from recovery.records import Namespace, ServerId

__all__ = ["Roster"]


@dataclass(slots=True)
class _Peer:
    heard_at: float
    namespace: Namespace
    report: Report | None


class Roster:
    """The other servers, as far as they are known.

    Args:
        timeout: seconds after which a server that says nothing is forgotten.

    >>> roster = Roster(10.0)
    >>> roster.heard(ServerId("c2f0"), Namespace("/"), None, now=1.0)
    >>> roster.listening(Namespace("/"), now=2.0), roster.listening(Namespace("/"), now=11.5)
    (('c2f0',), ())
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._peers: dict[ServerId, _Peer] = {}

    def heard(self, server: ServerId, namespace: Namespace, report: Report | None, *, now: float) -> None:
        """Note a word of a server, and what it said of itself, if it did."""
        peer = self._peers.get(server)
        if peer is None:
            self._peers[server] = _Peer(now, namespace, report)
            return
        peer.heard_at = now
        peer.report = report or peer.report

    def left(self, server: ServerId) -> None:
        """Forget a server that has said that it leaves."""
        self._peers.pop(server, None)

    def listening(self, namespace: Namespace, *, now: float) -> tuple[ServerId, ...]:
        """The servers that should answer for a namespace."""
        self._forget(now)
        return tuple(
            server
            for server, peer in self._peers.items()
            if namespace in (peer.report.namespaces if peer.report else (peer.namespace,))
        )

    def records(
        self, server: ServerId, report: Report, answered: Iterable[ServerId], *, now: float
    ) -> tuple[ServerRecord, ...]:
        """This server, and all that are known; lag is counted from whoever has read most.

        Args:
            report: what this server says of itself.
            answered: those of the others that were there just now.
        """
        there = {server, *answered}
        self._forget(now)
        peers = {server: _Peer(now, Namespace("/"), report), **self._peers}
        newest = max(peer.report.position for peer in peers.values() if peer.report is not None)
        return tuple(
            _record(each, peer, newest, answered=each in there, now=now) for each, peer in peers.items()
        )

    def _forget(self, now: float) -> None:
        for server in [each for each, peer in self._peers.items() if now - peer.heard_at > self._timeout]:
            del self._peers[server]


def _record(server: ServerId, peer: _Peer, newest: Offset, *, answered: bool, now: float) -> ServerRecord:
    silent_for, report = now - peer.heard_at, peer.report
    if report is None:
        return ServerRecord(server, PeerKind.NODE, answered, silent_for)
    lag = (newest.ms - report.position.ms) / 1000
    return ServerRecord(
        server, PeerKind.PYTHON, answered, silent_for, report.name, report.clients, lag, report.outcomes
    )
