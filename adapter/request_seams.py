"""A request of an Engine.IO session that this server does not have: the answer says why that may be.

With the transport ``polling`` a session is many requests, and one that a load balancer hands to another
server ends it with "Invalid session ..." in the answer and in the log. Whoever reads that looks for a defect
of the session, and not of the load balancer. So both say what to look for.

Private name: ``_bad_request(message)`` of the Engine.IO server makes the answer to a request that it refuses;
in both colours it is a plain method, looked up on the instance at each call. Checked on python-engineio 4.11
to 4.15; ``tests/unit/test_request_seams.py`` fails when a release words or calls it otherwise.
"""

import logging
from collections.abc import Callable
from time import monotonic
from typing import Any

from recovery.core.tally import Tally

__all__ = ["ADVICE", "explain_unknown_sessions"]

logger = logging.getLogger("recovery.requests")

ADVICE = (
    "it has ended, or is another server's: with the transport polling, a load balancer must send all requests"
    " of a client to one server (sticky sessions; docs/how-to/run-behind-nginx.md)"
)
_UNKNOWN = "Invalid session"


def explain_unknown_sessions(server: Any, clock: Callable[[], float] = monotonic) -> None:
    """Have a Socket.IO server say `ADVICE` where it refuses a request for want of its session.

    It says so in the answer each time, and in the log at first and once a minute while it goes on.

    Args:
        clock: seconds on a clock that only goes forward.
    """
    original: Callable[[str | None], Any] = server.eio._bad_request
    tally = Tally()

    def bad_request(message: str | None = None) -> Any:
        if message is None or not message.startswith(_UNKNOWN):
            return original(message)
        if tally.note("session.astray", clock()):
            logger.warning(
                "a request came for a session that this server does not have: %s",
                ADVICE,
                extra={"event": "session.astray"},
            )
        return original(f"{message}: {ADVICE}")

    server.eio._bad_request = bad_request
