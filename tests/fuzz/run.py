"""Fuzz one decoder by hand: ``python -m tests.fuzz.run session -max_total_time=600``, in seconds.

Needs the package atheris. What follows the target's name is for libFuzzer; a finding is written to a file
``crash-...``, with which the target can be run again. Without further options it stops after a minute.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import atheris as untyped_atheris  # which ships no types

atheris: Any = untyped_atheris

with atheris.instrument_imports(include=["recovery"]):
    from tests.fuzz.seeds import SEEDS
    from tests.fuzz.targets import TARGETS

__all__ = ["main"]

_BOUNDS = ("-timeout=10", "-rss_limit_mb=2048", "-max_len=20000")  # seconds, MB and bytes for one input


def main(arguments: list[str]) -> None:
    """Fuzz the target that is named first; does not return."""
    if not arguments or arguments[0] not in TARGETS:
        sys.exit(f"usage: python -m tests.fuzz.run {{{','.join(TARGETS)}}} [libFuzzer's options]")
    name, *options = arguments
    folder = Path(tempfile.mkdtemp(prefix="sio-recovery-fuzz-"))
    for number, seed in enumerate(SEEDS[name]):
        (folder / f"seed-{number}").write_bytes(seed)
    bounds = [*_BOUNDS, *(options or ["-max_total_time=60"])]
    atheris.Setup([sys.argv[0], *bounds, str(folder)], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
