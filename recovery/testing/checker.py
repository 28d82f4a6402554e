"""The promise P1 to P5, held against a history.

`check` knows nothing of how recovery works. It asks what each session was owed, and what it got.

1. A session is owed each recoverable packet that was stored, addresses it at the packet's own place, and
   stands behind its beginning. A session that is settled has all of them. Any other may lack what comes
   last, and nothing in between (P1).
2. What a client hears, and what is written to one connection, goes up by offset and by each producer's
   numbers; the clients of a namespace agree on one order (P2).
3. A fresh session gets nothing from before it began (P3); nobody gets what is not addressed to it, was never
   emitted, or comes after the session's end (P4).
4. Once a session has changed hands, its old connection is written no later packet (P5).
5. Where a history leaves something open (a change that raised, a place that nobody knows), both are right.

The time is proportional to the length of the history and, where packets are missing, to how many.
"""

from collections import defaultdict
from collections.abc import Iterator

from recovery.records import Namespace
from recovery.testing.accounts import Accounts, read_accounts
from recovery.testing.history import History
from recovery.testing.orders import find_disagreements, find_misnumbered
from recovery.testing.reception import Reception
from recovery.testing.violations import Kind, Promise, Violation, explain

__all__ = ["Kind", "Promise", "Violation", "check", "explain"]


def check(history: History) -> list[Violation]:
    """Return all that breaks the promise; an empty list is the promise kept.

    Raises:
        ValueError: two packets, or two connections of a namespace, have one name.

    >>> from recovery.offsets import Offset
    >>> from recovery.testing.history import Accepted, Emitted, Received
    >>> history = History(settled={"ann"})
    >>> history.add(Accepted("ann", connection=1, sid="a", recovered=False))
    >>> history.add(Emitted("one", "server", 1, offset=Offset(1, 0)))
    >>> history.add(Emitted("two", "server", 2, offset=Offset(2, 0)))
    >>> history.add(Received("ann", connection=1, packet="two", offset=Offset(2, 0)))
    >>> print(*check(history))
    ann: packet one at 1-0 lost: number 1 of server, for everyone; then came two at 2-0
    """
    accounts = read_accounts(history)
    violations = [*_written_to_nobody(accounts), *find_misnumbered(accounts.packets.values())]
    receptions: defaultdict[Namespace, list[Reception]] = defaultdict(list)
    for session in accounts.sessions:
        reception = Reception(session, accounts)
        violations += reception.judge()
        receptions[session.first.namespace].append(reception)
    settled = {id(session) for (_, client), session in accounts.last.items() if client in history.settled}
    for namespace, packets in accounts.in_namespaces():
        for reception in receptions[namespace]:
            violations += reception.find_lost(packets, settled=id(reception.session) in settled)
        violations += find_disagreements(namespace, receptions[namespace])
    return violations


def _written_to_nobody(accounts: Accounts) -> Iterator[Violation]:
    for received in accounts.homeless:
        detail = f"on connection {received.connection}, which was never accepted"
        yield Violation(
            Kind.BEFORE_SESSION,
            received.client,
            received.packet,
            received.offset,
            detail,
            received.namespace,
        )
