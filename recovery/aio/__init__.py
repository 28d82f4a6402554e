"""The asyncio runtime: performs what flows ask for."""
