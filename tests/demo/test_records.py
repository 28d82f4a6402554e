"""Lines between the demo and its servers say what went in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.demo.records import (
    Failed,
    Finished,
    Line,
    Listening,
    Packet,
    Sent,
    Start,
    Stop,
    Welcomed,
    read_line,
    write_line,
)

packets = st.builds(
    Packet,
    st.text(),
    st.integers(1),
    st.lists(st.text(), min_size=1).map(tuple),
    st.none() | st.text(),
    st.floats(0, 2**40),
)
lines = st.one_of(
    st.builds(Listening, st.integers(0, 65535)),
    st.builds(Welcomed, st.text(), st.text(), st.booleans(), st.none() | st.text(), st.none() | st.text()),
    st.builds(Sent, packets),
    st.builds(Failed, st.text()),
    st.builds(Finished),
    st.builds(Start, st.dictionaries(st.text(), st.text()), st.lists(st.text()).map(tuple)),
    st.builds(Stop),
)


@given(lines)
def test_a_line_reads_back_as_written(line: Line) -> None:
    text = write_line(line)
    assert text.endswith("\n")
    assert text.count("\n") == 1
    assert read_line(text) == line


@pytest.mark.parametrize(
    "text", ["", "INFO: started", "{}", "[]", '{"record":"Nothing"}', '{"record":"Failed"}']
)
def test_what_is_no_line_is_an_error_that_shows_it(text: str) -> None:
    with pytest.raises(ValueError, match="cannot read the line"):
        read_line(text)
