"""What a manager tells whoever traces it: `adapter.tracing` does, for OpenTelemetry.

A manager that is not traced has None in its place, and pays nothing.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from adapter.clients import EioConnection
from recovery.core.packets import Observer
from recovery.offsets import Offset
from recovery.records import Draft, Namespace

__all__ = ["Tracing"]


class Tracing(Observer, Protocol):
    """Follows packets from their emit to their delivery, and clients that come back."""

    async def publish(
        self,
        append: Callable[[Draft], Awaitable[Offset]],
        draft: Draft,
        *,
        namespace: Namespace,
        event: Any,  # its name; what an application gives is not checked before it is sent
        max_bytes: int,
    ) -> Offset:
        """Append an entry, which may carry more fields then; raises what `append` raises.

        Args:
            max_bytes: an entry with more would be left out by whoever reads it.
        """
        ...

    async def recover(self, namespace: Namespace, admission: Awaitable[EioConnection]) -> EioConnection:
        """Wait for the connection of a client that asks for recovery."""
        ...
