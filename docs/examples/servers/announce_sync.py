"""Emits one headline to the clients of all servers, and ends; without asyncio."""

import sys

from adapter import RecoveryManager

manager = RecoveryManager("redis://localhost:6379", write_only=True)
manager.emit("headline", sys.argv[1], room="news")
manager.close()
