"""Commands with everything filled in that a test does not care about."""

from typing import Any

from recovery.commands import Append, ClaimSession, SaveSession
from recovery.deadlines import ExpireSession
from recovery.offsets import ORIGIN
from recovery.records import Draft, Epoch, HolderState, Namespace, Pid, ServerId

__all__ = ["PID", "append", "claim", "draft", "expire", "save"]

PID = Pid("pid-0123456789")


def draft(payload: bytes) -> Draft:
    return Draft(((b"nsp", b"/"), (b"data", payload)))


def append(*payloads: bytes, sequence: int = 1, producer: str = "one", **changes: Any) -> Append:
    defaults: dict[str, Any] = {
        "producer": ServerId(producer),
        "sequence": sequence,
        "drafts": tuple(draft(payload) for payload in payloads),
        "candidate": Epoch("epoch-of-append"),
        "retention_ms": 60_000,
        "max_len": None,
        "producer_ttl_ms": 60_000,
    }
    return Append(**{**defaults, **changes})


def save(**changes: Any) -> SaveSession:
    """A save; one under a claim number names the nonce of `claim`."""
    defaults: dict[str, Any] = {
        "pid": PID,
        "number": 1,
        "owner": ServerId("server-1"),
        "namespace": Namespace("/"),
        "identity": "",
        "epoch": Epoch("e"),
        "value": b"session",
        "proven": ORIGIN,
        "state": HolderState.LIVE,
        "ttl_ms": 60_000,
        "linger_ms": 60_000,
        "create": False,
        "nonce": claim().nonce if changes.get("number", 1) > 1 else "",
    }
    return SaveSession(**{**defaults, **changes})


def claim(**changes: Any) -> ClaimSession:
    defaults: dict[str, Any] = {
        "pid": PID,
        "namespace": Namespace("/"),
        "identity": "",
        "epoch": Epoch("e"),
        "owner": ServerId("server-2"),
        "nonce": "nonce-1",
    }
    return ClaimSession(**{**defaults, **changes})


def expire(**changes: Any) -> ExpireSession:
    defaults: dict[str, Any] = {
        "pid": PID,
        "owner": ServerId("server-3"),
        "nonce": "nonce-of-expiry-1",
        "grace_ms": 0,
        "lease_ms": 30_000,
    }
    return ExpireSession(**{**defaults, **changes})
