"""What is logged as an error while clients misbehave, and who raised it."""

import gc
import logging
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Errors", "collected_errors"]

_ROOT = Path(__file__).parents[2]
_OURS = ("recovery", "adapter")


class Errors(logging.Handler):
    """Keeps error records.

    Attributes:
        records: all of them.
    """

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def of_ours(self) -> list[str]:
        """Those that our loggers wrote, or that our code raised: python-socketio's own are its own."""
        gc.collect()  # tells of exceptions that nobody retrieved
        return [
            "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else record.getMessage()
            for record in self.records
            if record.name.startswith("recovery") or _raised_here(record)
        ]


def _raised_here(record: logging.LogRecord) -> bool:
    if not record.exc_info or record.exc_info[2] is None:
        return False
    innermost = Path(traceback.extract_tb(record.exc_info[2])[-1].filename)
    return innermost.is_relative_to(_ROOT) and innermost.relative_to(_ROOT).parts[0] in _OURS


@contextmanager
def collected_errors() -> Generator[Errors, None, None]:
    """Collect what is logged as an error within a block."""
    errors = Errors()
    logging.getLogger().addHandler(errors)
    try:
        yield errors
    finally:
        logging.getLogger().removeHandler(errors)
