"""A private store for a trial: it lives until you press Enter."""

from recovery.stores.embedded import EmbeddedServer

with EmbeddedServer() as server:
    print(server.url, flush=True)
    input()
