"""Saving the clients of this process: what, when, and what follows from the store's answer."""

import asyncio
import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle

from adapter.background import Background
from adapter.clients import TURNS, Client, Clients
from adapter.seams import EioPacket
from recovery.aio.runtime import Runtime
from recovery.commands import Overtaken, Saved, SaveSession
from recovery.core.connection import Phase
from recovery.core.saving import save_command
from recovery.errors import EncodingError, SaveError
from recovery.records import HolderState
from recovery.settings import Settings

__all__ = ["Sessions"]

logger = logging.getLogger("recovery.sessions")


class Sessions:
    """Saves sessions, and lets go of those that another server has taken.

    Args:
        runtime_of: of a namespace.
        lost: told of a client whose session is no longer ours.
        live_ms: how long a session lives after a save while its client is connected.
        keep_ms: how long values outlive their sessions; see `save_command`.
    """

    def __init__(
        self,
        runtime_of: Callable[[str], Runtime[EioPacket]],
        clients: Clients,
        settings: Settings,
        background: Background,
        *,
        live_ms: Callable[[], int],
        lost: Callable[[Client], None] | None,
        keep_ms: int = 0,
    ) -> None:
        self._runtime_of = runtime_of
        self._clients = clients
        self._settings = settings
        self._background = background
        self._live_ms = live_ms
        self._keep_ms = keep_ms
        self._lost = lost

    async def save(
        self, client: Client, state: HolderState, *, whole: bool = True, create: bool = False
    ) -> bool:
        """Save a session; False if another server has it now (then `lost` was told).

        Raises:
            SaveError: the store did not confirm it.
            EncodingError: it is too large.
        """
        save = self._begin(client, state, whole=whole, create=create)
        outcome = await save.outcome
        if isinstance(outcome, Overtaken):
            if outcome.number < client.connection.number and state is HolderState.LIVE and not create:
                # The store lost the session (and an older owner may have saved it again); its client is here.
                return await self.save(client, state, create=True)
            self._let_go(client, outcome)
            return False
        save.note()
        if outcome.value_missing and not save.whole:
            return await self.save(client, state)
        return True

    def _begin(self, client: Client, state: HolderState, *, whole: bool, create: bool = False) -> "_Save":
        connection = client.connection
        changes = connection.changes
        whole = whole or client.saved_changes != changes  # a checkpoint says that the saved rooms are right
        runtime = self._runtime_of(connection.namespace)
        command = save_command(
            connection,
            state,
            server=runtime.server,
            position=runtime.dispatcher.position,
            window_ms=max(1, self._window_ms(client)),
            linger_ms=self._settings.window_ms,
            live_ms=self._live_ms(),
            whole=whole,
            create=create,
            max_bytes=self._settings.max_session_bytes,
            keep_ms=self._keep_ms,
        )
        since = asyncio.get_running_loop().time()
        return _Save(client, command, whole, changes, since, runtime.sessions.begin(command))

    def _let_go(self, client: Client, outcome: Overtaken) -> None:
        sid = client.connection.sid
        logger.info(
            "%s belongs to claim %s now", sid, outcome.number, extra={"event": "save.refused", "sid": sid}
        )
        if self._lost is not None:
            self._lost(client)

    def _window_ms(self, client: Client) -> int:
        """How much longer a client that is away may stay so; the window opened when its transport closed."""
        if client.closed_at is None:
            return self._settings.window_ms
        elapsed = asyncio.get_running_loop().time() - client.closed_at
        return self._settings.window_ms - round(elapsed * 1000)

    async def save_change(self, client: Client) -> None:
        """Make a change of rooms or session data durable.

        Raises:
            SaveError: it is not: the store did not confirm it, another server has the session, or with this
                change it is too large.
        """
        if not client.kept:
            return
        try:
            saved = await self.save(client, HolderState.LIVE)
        except EncodingError as exc:
            raise SaveError(f"the change is in force, and not saved: {exc}") from exc
        if not saved:
            raise SaveError(f"{client.connection.sid} has moved to another server; the change is not saved")

    async def end(self, client: Client) -> bool:
        """End a session for good; False if that is not certain: it has moved on, or the store is away."""
        if client.connection.pid is None or not client.owned:
            return True
        try:
            return await self.save(client, HolderState.ENDED)
        except (SaveError, EncodingError) as exc:
            sid = client.connection.sid
            logger.warning(
                "session of %s is not ended: %s", sid, exc, extra={"event": "save.failed", "sid": sid}
            )
            return False

    async def save_quietly(self, client: Client, state: HolderState, *, whole: bool = True) -> None:
        """Save a session where nobody can be told of a failure but the log."""
        stale = state is HolderState.LIVE and client.connection.phase is Phase.ENDED
        expired = state is HolderState.AWAY and self._window_ms(client) <= 0
        if stale or expired or not client.kept:
            return
        with _only_logged(client):
            await self.save(client, state, whole=whole)

    def save_later(self, client: Client, state: HolderState, *, whole: bool = True) -> None:
        """Save a session in a task of its own."""
        self._background.start(self.save_quietly(client, state, whole=whole))

    async def keep_checkpoints(self) -> None:
        """Save what is new of each live client within every ``checkpoint_interval``, for ever.

        One part of the clients after the other, so that neither this process nor the store has to do with all
        of them at once.
        """
        loop = asyncio.get_running_loop()
        at = loop.time()
        for turn in cycle(range(TURNS)):
            at = max(at + self._settings.checkpoint_interval / TURNS, loop.time())
            await asyncio.sleep(at - loop.time())
            await self.checkpoint(turn)

    async def checkpoint(self, turn: int) -> None:
        """Save what is due of the clients whose turn it is, in few round trips, and with no task for each."""
        now = asyncio.get_running_loop().time()
        saves: list[_Save] = []
        again: list[Client] = []
        try:
            for client in self._clients.live():
                if client.turn == turn and client.kept and self._is_due(client, now):
                    with _only_logged(client):
                        saves.append(self._begin(client, HolderState.LIVE, whole=False))
            for save in saves:
                with _only_logged(save.client):
                    outcome = await save.outcome
                    if isinstance(outcome, Saved) and (save.whole or not outcome.value_missing):
                        save.note()
                    else:
                        again.append(save.client)
        finally:
            for save in saves:
                save.outcome.cancel()
        await asyncio.gather(*(self.save_quietly(client, HolderState.LIVE) for client in again))

    def _is_due(self, client: Client, now: float) -> bool:
        """Whether a checkpoint has anything to say of a client, or its session must be kept from expiring.

        After an interruption all are due: a failover may have lost what was confirmed.
        """
        connection = client.connection
        if connection.proven > client.saved_proven or connection.changes != client.saved_changes:
            return True
        tolerance = self._settings.checkpoint_interval / 2  # rather now than a whole interval late
        if now - client.saved_at >= self._settings.quiet_interval - tolerance:
            return True
        return self._runtime_of(connection.namespace).interrupted >= client.saved_at


@dataclass(slots=True)
class _Save:
    """A save that is under way.

    Attributes:
        whole: rooms and user session are in it, too.
        changes: how many changes of the connection it knows of.
        since: when it began, on the loop's clock.
    """

    client: Client
    command: SaveSession
    whole: bool
    changes: int
    since: float
    outcome: asyncio.Future[Saved | Overtaken]

    def note(self) -> None:
        """The store has confirmed it."""
        client = self.client
        client.saved = True
        if self.whole:
            client.saved_changes = max(client.saved_changes, self.changes)
        client.saved_proven = max(client.saved_proven, self.command.proven)
        client.saved_at = max(client.saved_at, self.since)


@contextmanager
def _only_logged(client: Client) -> Generator[None]:
    """Have a save that fails told to the log: there is nobody else."""
    try:
        yield
    except (SaveError, EncodingError) as exc:
        sid = client.connection.sid
        logger.warning("session of %s is not saved: %s", sid, exc, extra={"event": "save.failed", "sid": sid})
