"""A bridge under asyncio: one direction between two regions, until it is cancelled.

What it does is in `recovery.flows.bridging`. Here are its pace, its patience, and what it counts and says.
"""

import asyncio
import logging
import secrets
from collections import Counter
from dataclasses import dataclass, field
from math import inf
from time import time
from typing import Any

from recovery.bridging import Staying
from recovery.commands import AsyncStore, Command
from recovery.core.tally import Tally
from recovery.driver import run_async
from recovery.entries import PayloadCodec
from recovery.errors import StoreError
from recovery.flows.bridging import AtTarget, Bearings, Carried, Terms, begin, carry
from recovery.flows.pace import Pace
from recovery.flows.steps import Clock, Pause
from recovery.offsets import Offset
from recovery.records import Epoch

__all__ = ["Bridge", "BridgeMeters"]

logger = logging.getLogger("recovery.bridge")

_DOUBT_EVERY = 10.0  # seconds, as a server's reader
_PAUSE_AFTER_ERROR = 0.2


@dataclass(slots=True)
class BridgeMeters:
    """What one direction of a bridge counts.

    Attributes:
        crossed: entries that were appended to the target.
        stayed: entries that were not, by reason.
        batches: calls that appended them.
        gaps: how often entries of the source were gone before they could be carried over.
        elsewhere: how often the target had another position than this bridge.
        failures: attempts that a store did not answer, or answered with an error.
        failing: whether the last attempt was one.
        position: the last entry of the source that was seen to.
        delay: seconds between the emit of the last entry that crossed and its confirmation, by the source's
            and this machine's clock; None before there was one.
    """

    crossed: int = 0
    stayed: Counter[Staying] = field(default_factory=Counter[Staying])
    batches: int = 0
    gaps: int = 0
    elsewhere: int = 0
    failures: int = 0
    failing: bool = False
    position: Offset | None = None
    delay: float | None = None


class Bridge:
    """Carries over what is new in one region to another. Closing the stores is left to the caller.

    Args:
        source: where it reads.
        target: where it appends.
        terms: its name, and how long entries are kept.
        read_count: most entries to read at a time.
        block_time: seconds that one read waits.

    Attributes:
        meters: what it counts.
    """

    def __init__(
        self,
        source: AsyncStore,
        target: AsyncStore,
        terms: Terms,
        *,
        read_count: int = 1000,
        block_time: float = 1.0,
    ) -> None:
        self.meters = BridgeMeters()
        self._source = source
        self._target = target
        self._terms = terms
        self._block_ms = round(block_time * 1000)
        self._pace = Pace(read_count)
        self._codec = PayloadCodec()
        self._tally = Tally()

    async def run(self) -> None:
        """Carry over until cancelled, through outages of either store.

        Raises:
            ConfigurationError: both stores are one.
        """
        bearings: Bearings | None = None
        proven = -inf  # when continuity was proven last
        while True:
            now = asyncio.get_running_loop().time()
            doubtful = now - proven >= _DOUBT_EVERY
            try:
                if bearings is None:
                    bearings = await self._begin()
                carried = await self._carry(bearings, doubtful=doubtful)
            except StoreError as error:
                self._failed(error)
                proven = -inf
                await asyncio.sleep(_PAUSE_AFTER_ERROR)
                continue
            proven = now if doubtful else proven
            bearings = carried.bearings
            self._note(carried)
            if carried.elsewhere:
                proven = -inf
            await asyncio.sleep(0)  # let others run even if the stores never make us wait

    async def _begin(self) -> Bearings:
        bearings = await run_async(begin(self._terms, (_new_epoch(), _new_epoch())), self._perform)
        self.meters.position = bearings.position
        logger.info(
            "%s: goes on after %s", self._terms.link, bearings.position, extra={"event": "bridge.started"}
        )
        return bearings

    async def _carry(self, bearings: Bearings, *, doubtful: bool) -> Carried:
        step = carry(
            self._terms,
            bearings,
            codec=self._codec,
            candidates=(_new_epoch(), _new_epoch()),
            count=self._pace.count,
            block_ms=self._block_ms,
            doubtful=doubtful,
            on_silence=self._failed,
        )
        return await run_async(step, self._perform)

    async def _perform(self, command: Command[Any]) -> Any:  # the reply's type is the command's parameter
        match command:
            case AtTarget():
                return await self._target.execute(command.command)
            case Clock():
                return asyncio.get_running_loop().time()
            case Pause():
                return await asyncio.sleep(command.seconds)
            case _:
                return await self._source.execute(command)

    def _failed(self, error: StoreError) -> None:
        self.meters.failures += 1
        self.meters.failing = True
        if self._tally.note("bridge.failed", asyncio.get_running_loop().time()):
            logger.warning("%s: stands still: %s", self._terms.link, error, extra={"event": "bridge.failed"})

    def _note(self, carried: Carried) -> None:
        link, meters, position = self._terms.link, self.meters, carried.bearings.position
        self._pace.note(carried.entries)
        meters.failing = False
        meters.position = position
        meters.crossed += carried.crossed
        meters.batches += carried.crossed > 0
        meters.gaps += carried.gap
        meters.elsewhere += carried.elsewhere
        if carried.stayed is not None and not carried.elsewhere:
            meters.stayed.update(carried.stayed)
        if carried.crossed:
            meters.delay = max(0.0, time() - position.ms / 1000)
        if self._tally.over("bridge.failed"):
            logger.info("%s: goes on", link, extra={"event": "bridge.resumed"})
        if carried.gap:
            logger.error(
                "%s: entries before %s were gone before they could be carried over; clients on the other side"
                " do not get them",
                link,
                position,
                extra={"event": "bridge.gap"},
            )
        if carried.elsewhere:
            logger.info(
                "%s: the target is at %s, and so is this bridge now",
                link,
                position,
                extra={"event": "bridge.moved"},
            )
        if carried.cut and self._tally.note("stream.cut", asyncio.get_running_loop().time()):
            logger.warning(
                "%s: max_len cuts into the target's recovery window", link, extra={"event": "stream.cut"}
            )


def _new_epoch() -> Epoch:
    return Epoch(secrets.token_hex(8))
