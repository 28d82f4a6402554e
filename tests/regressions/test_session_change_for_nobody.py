"""A change of session data that names no client replaced the data of every client of the namespace.

A peer's entry without ``to`` (or with an empty one) was read as one that addresses everyone.
"""

import pytest

from recovery.entries import Kind, make_draft
from recovery.sessions import encode_user_session
from tests.unit.builders import DRAFTS, NSP, THERE, dispatch, make_connection, make_dispatcher


@pytest.mark.parametrize("kind", [Kind.SET_SESSION, Kind.FETCH_SESSION])
def test_an_entry_that_names_no_client_concerns_nobody(kind: Kind) -> None:
    dispatcher = make_dispatcher()
    connection = make_connection()
    connection.user_session = {"user": "ada"}
    dispatcher.add(connection)
    payload = {"session": encode_user_session({"user": "eve"}), "requestId": "1"}

    effects = dispatch(dispatcher, make_draft(kind, payload, DRAFTS.codec, server=THERE, namespace=NSP))

    assert effects == []
    assert connection.user_session == {"user": "ada"}
