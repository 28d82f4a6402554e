"""What a real Node server wrote into a real store, once for all tests of this folder."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from recovery.offsets import parse_offset
from recovery.records import Entry
from recovery.stores.embedded import EmbeddedServer
from tests.e2e.npm import NODE_FOLDER, NodeMissingError, find_executable, install_packages
from tests.e2e.wire import encode
from tests.unit.node_entries.orders import ORDERS

__all__ = ["Written"]

_STREAM = "written-by-node"
_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Written:
    """What Node left behind.

    Attributes:
        entries: of its stream, one for each order.
        sid: of the client whose session it saved.
        session: that session, as it is in the store.
    """

    entries: list[Entry]
    sid: str
    pid: str
    session: bytes


@pytest.fixture(scope="session")
def written(valkey_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    """Run Node and record what it wrote."""
    try:
        install_packages()
    except NodeMissingError as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))
    orders = tmp_path_factory.mktemp("node") / "orders.json"
    orders.write_text(json.dumps([encode(order) for order in ORDERS]))
    with redis.Redis.from_url(valkey_server.url) as client:
        answer = _run_node(str(client.get_connection_kwargs()["path"]), orders)
        yield Written(
            entries=_entries(client),
            session=_session(client, answer["pid"]),
            sid=answer["sid"],
            pid=answer["pid"],
        )
        client.delete(_STREAM, f"{_STREAM}:session:{answer['pid']}")


def _run_node(socket_path: str, orders: Path) -> dict[str, Any]:
    done = subprocess.run(
        [find_executable("node"), "--input-type=module", "-", socket_path, _STREAM, str(orders)],
        input=Path(__file__).with_name("peer.js").read_text(),
        cwd=NODE_FOLDER,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _entries(client: "redis.Redis") -> list[Entry]:
    rows: Any = client.xrange(_STREAM)  # redis-py's type covers every protocol version
    return [Entry(parse_offset(offset), fields) for offset, fields in rows][: len(ORDERS)]


def _session(client: "redis.Redis", pid: str) -> bytes:
    value: Any = client.get(f"{_STREAM}:session:{pid}")
    assert isinstance(value, bytes)
    return value
