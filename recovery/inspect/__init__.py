"""The inspector: what a store knows of sessions and the stream, live or from a file. Reads, never writes.

One library behind the command ``socketio-recovery`` and whatever else shows what is inside. A `Source` is a
live store, a snapshot that we wrote, or a dump of Redis or Valkey; everything here takes any of them, and
answers the same for the same data.

Example: who is away, in which rooms, and what would each get if it came back now? ::

    from recovery.inspect import find_sessions, open_source, rehearse
    from recovery.inspect import SessionState

    source = open_source("redis://localhost:6379")
    for session in find_sessions(source, states={SessionState.AWAY}):
        print(session.sid, session.rooms, rehearse(source, session.pid).outcome)
    source.close()
"""

from recovery.inspect.checkup import Finding, check_up
from recovery.inspect.comparison import Difference, compare_sessions, compare_streams
from recovery.inspect.explanation import Explanation, explain
from recovery.inspect.listing import Filter, Timing, find_session, find_sessions, list_owners
from recovery.inspect.opening import open_source
from recovery.inspect.records import Owner, Session, SessionState
from recovery.inspect.rehearsal import Rehearsal, rehearse
from recovery.inspect.snapshots import write_snapshot
from recovery.inspect.sources import Source, entries_between
from recovery.inspect.traffic import DecodedEntry, Traffic, decode_entry, measure_traffic
from recovery.inspect.unsent import Unsent, list_unsent

__all__ = [
    "DecodedEntry",
    "Difference",
    "Explanation",
    "Filter",
    "Finding",
    "Owner",
    "Rehearsal",
    "Session",
    "SessionState",
    "Source",
    "Timing",
    "Traffic",
    "Unsent",
    "check_up",
    "compare_sessions",
    "compare_streams",
    "decode_entry",
    "entries_between",
    "explain",
    "find_session",
    "find_sessions",
    "list_owners",
    "list_unsent",
    "measure_traffic",
    "open_source",
    "rehearse",
    "write_snapshot",
]
