"""Decoders take any bytes: they raise what they document, or return what their type says."""

import base64
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recovery.packing import pack
from tests.fuzz.seeds import SEEDS
from tests.fuzz.targets import TARGETS

_ROOT = Path(__file__).parents[2]
_RUNS = 4000  # inputs for each target: a second or two; by hand it is millions

_KEYS = st.sampled_from(
    [
        "packet",
        "data",
        "opts",
        "rooms",
        "except",
        "flags",
        "requestId",
        "volatile",
        "type",
        "offset",
        "sid",
        "pid",
    ]
) | st.sampled_from(["nsp", "claim", "holder", "session", "epoch", "start", "position", "history", "left"])
_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    st.text(max_size=10),
    st.binary(max_size=10),
    st.sampled_from(["1-0", f"{2**64}-0", "p" * 32, "/", "a", pack({"a": 1})]),
)
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(_KEYS | st.integers(-100, 100), inner, max_size=6)
    ),
    max_leaves=30,
)


def _inputs(name: str) -> st.SearchStrategy[bytes]:
    """Any bytes, well-formed MessagePack of odd content, and seeds with a piece exchanged."""
    packed = _VALUES.map(pack)
    coded = packed.map(base64.b64encode)
    heads = st.binary(max_size=2).map(lambda start: start + b"\x00")
    numbers = st.integers(0, 2000), st.binary(max_size=6), st.integers(0, 6)
    exchanged = st.builds(_exchanged, st.sampled_from(SEEDS[name]), *numbers)
    return st.one_of(st.binary(max_size=200), packed, coded, st.tuples(heads, coded).map(b"".join), exchanged)


def _exchanged(seed: bytes, at: int, piece: bytes, cut: int) -> bytes:
    """A seed with a piece of it exchanged for another."""
    at %= len(seed) + 1
    return seed[:at] + piece + seed[at + cut :]


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=150, deadline=2000, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_decoder_raises_what_it_documents_or_returns_what_it_says(name: str, data: st.DataObject) -> None:
    TARGETS[name](data.draw(_inputs(name)))


@pytest.mark.parametrize("name", TARGETS)
def test_a_decoder_bears_its_seeds_repeated_nested_and_cut(name: str) -> None:
    for seed in [*SEEDS[name], b"[" * 200_000, b"\x91" * 200_000, b"\xdf\xff\xff\xff\xff", b"A" * 10**6]:
        for data in (
            seed,
            seed * 50,
            base64.b64encode(seed),
            *(seed[:at] for at in range(min(len(seed), 300))),
        ):
            TARGETS[name](data)


@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None,
    reason="atheris is not installed: it has wheels for Linux only",
)
@pytest.mark.parametrize("name", TARGETS)
def test_a_decoder_bears_what_a_fuzzer_finds_in_a_moment(name: str, tmp_path: Path) -> None:
    """The same as by hand, with a bound; see `tests/fuzz/run.py`. A finding prints its input."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.run", name, f"-runs={_RUNS}", f"-artifact_prefix={tmp_path}/"],
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": str(_ROOT), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"Done {_RUNS} runs" in done.stderr
