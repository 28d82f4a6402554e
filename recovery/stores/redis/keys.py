"""The name of every key that this library uses, and which of them stay.

======================================  ======  ==================================================
key                                     type    lifetime
======================================  ======  ==================================================
``<stream_name>``                       stream  permanent; trimmed by time
``{<stream_name>}:epoch``               hash    permanent: it must outlive the stream
``{<stream_name>}:bridge:<link>``       string  permanent: it must outlive any absence of its bridge
``{<stream_name>}:producer:<server>``   hash    expires ``producer_ttl_ms`` after its last batch
``{<stream_name>}:deadlines``           zset    expires ``keep_ms`` after the last deadline on it
``<session_key_prefix><pid>``           string  expires with the session, or ``keep_ms`` later
``{<session_key_prefix><pid>}:claim``   hash    expires ``linger_ms`` after the session
======================================  ======  ==================================================

The stream and the session keys have the names that `@socket.io/redis-streams-adapter` gives them, so
that Node servers share them. The braces put what one script touches into one slot of a cluster; where
a configured name brings a hash tag of its own, that tag is kept and no braces are added.
"""

import re
from dataclasses import dataclass

from recovery.records import Pid, ServerId

__all__ = ["Keys"]

_HASH_TAG = re.compile(r"\{[^}]+\}")


@dataclass(frozen=True, slots=True)
class Keys:
    """The names for one `stream_name` and one `session_key_prefix`.

    >>> keys = Keys("socket.io", "sio:session:")
    >>> keys.epoch
    '{socket.io}:epoch'
    >>> keys.claim(Pid("p1"))
    '{sio:session:p1}:claim'
    >>> Keys("{a}.io", "s:").epoch
    '{a}.io:epoch'
    """

    stream_name: str
    session_key_prefix: str

    @property
    def stream(self) -> str:
        """The stream of entries. Permanent."""
        return self.stream_name

    @property
    def epoch(self) -> str:
        """Identity of the stream, and the last offset known. Permanent."""
        return f"{_tagged(self.stream_name)}:epoch"

    def bridge(self, link: str) -> str:
        """How far a bridge of that name has carried another stream over. Permanent."""
        return f"{_tagged(self.stream_name)}:bridge:{link}"

    def producer(self, server: ServerId) -> str:
        """Number and offsets of the last batch of one process. Expires."""
        return f"{_tagged(self.stream_name)}:producer:{server}"

    @property
    def deadlines(self) -> str:
        """Sessions, and when to look whether they have expired. Expires."""
        return f"{_tagged(self.stream_name)}:deadlines"

    def session(self, pid: Pid) -> str:
        """A saved session. Expires."""
        return f"{self.session_key_prefix}{pid}"

    def claim(self, pid: Pid) -> str:
        """Who may write that session, and what is known of it when it has expired. Expires later."""
        return f"{_tagged(self.session(pid))}:claim"

    def is_permanent(self, key: str) -> bool:
        """Tell whether a key is meant to have no expiry."""
        return key in {self.stream, self.epoch} or key.startswith(self.bridge(""))


def _tagged(name: str) -> str:
    return name if _HASH_TAG.search(name) else f"{{{name}}}"
