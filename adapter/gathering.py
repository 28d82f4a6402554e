"""Gathering answers: of each server of the cluster, or of the clients of each.

1. Answers may come before it is known how many there will be; and a server may leave before it has answered.
2. Redis counts the server that asks, too, if that listens. It hears its own question then, before any answer;
   if it does not, because its connection was just lost, it was not counted.
"""

import asyncio
from typing import Any

from recovery.peers import BroadcastAnswers
from recovery.records import Namespace, ServerId, Sid

__all__ = ["ClientGathering", "Gathering"]


class Gathering:
    """One answer of each server.

    Attributes:
        namespace: that was asked in.
        answers: by server.
        done: when all have answered.
    """

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self.answers: dict[ServerId, Any] = {}  # as each server has it
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._expected: int | None = None
        self._returned = 0
        self._left = 0

    def expect(self, servers: int) -> None:
        """So many have heard the question, this server among them if it hears it, too."""
        self._expected = servers
        self._look()

    def came_back(self) -> None:
        """This server has heard its own question."""
        self._returned = 1
        self._look()

    def answer(self, server: ServerId, value: Any) -> None:
        """A server has answered; once."""
        self.answers.setdefault(server, value)
        self._look()

    def left(self, server: ServerId) -> None:
        """A server has left: it will not answer."""
        if server not in self.answers and self._missing() > 0:
            self._left += 1
            self._look()

    def missing(self, known: tuple[ServerId, ...]) -> tuple[tuple[ServerId, ...], int]:
        """Who has not answered: of those that are known, and how many more."""
        silent = tuple(server for server in known if server not in self.answers)
        return silent, max(self._missing() - len(silent), 0)

    def is_complete(self) -> bool:
        """Whether all that were asked have answered."""
        return self._expected is not None and self._missing() <= 0

    def _missing(self) -> int:
        """How many have not answered."""
        return (self._expected or 0) - len(self.answers) - self._returned - self._left

    def _look(self) -> None:
        if self.is_complete() and not self.done.done():
            self.done.set_result(None)


class ClientGathering(Gathering):
    """How many clients each server has asked, and the answers of these.

    An answer of a server is a number of clients, or a list of their sids.
    """

    def __init__(self, namespace: Namespace) -> None:
        super().__init__(namespace)
        self._own: list[Sid] = []
        self._responses: list[Any] = []
        self._by_client: dict[Sid, Any] = {}

    def here(self, sids: list[Sid]) -> None:
        """These clients of this server were asked."""
        self._own = sids
        self._look()

    def acknowledged(self, value: Any, sid: Sid | None = None) -> None:
        """A client has answered; its sid, if it is known."""
        if sid is not None:
            self._by_client[sid] = value
        self._responses.append(value)
        self._look()

    def is_complete(self) -> bool:
        """Whether all servers have answered, and all their clients."""
        asked = len(self._own) + sum(
            len(each) if isinstance(each, list) else each for each in self.answers.values()
        )
        return super().is_complete() and len(self._responses) >= asked

    def result(self, known: tuple[ServerId, ...]) -> BroadcastAnswers:
        """What there is by now."""
        servers, unknown_servers = self.missing(known)
        sids = [sid for each in (self._own, *self.answers.values()) if isinstance(each, list) for sid in each]
        counted = sum(each for each in self.answers.values() if isinstance(each, int))
        return BroadcastAnswers(
            responses=self._responses,
            by_client=self._by_client,
            silent=tuple(sid for sid in sids if sid not in self._by_client),
            unknown=max(counted - (len(self._responses) - len(self._by_client)), 0),
            servers=servers,
            unknown_servers=unknown_servers,
        )
