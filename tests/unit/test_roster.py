"""Who is in the cluster, as far as was heard lately."""

from recovery.core.roster import Roster
from recovery.offsets import Offset
from recovery.peers import PeerKind, Report
from recovery.records import Namespace, ServerId

ROOT, CHAT = Namespace("/"), Namespace("/chat")
ME, A, B = ServerId("me"), ServerId("a"), ServerId("b")


def _report(ms: int = 5000, *namespaces: Namespace) -> Report:
    return Report("web:1", Offset(ms, 0), 3, namespaces or (ROOT,))


def test_servers_of_ours_are_known_by_the_namespaces_that_they_report() -> None:
    roster = Roster(10.0)
    roster.heard(A, ROOT, _report(1, ROOT, CHAT), now=0.0)
    roster.heard(B, CHAT, None, now=0.0)
    assert roster.listening(CHAT, now=1.0) == (A, B)
    assert roster.listening(ROOT, now=1.0) == (A,)


def test_a_word_without_a_report_leaves_the_last_one() -> None:
    roster = Roster(10.0)
    roster.heard(A, ROOT, _report(1, ROOT), now=0.0)
    roster.heard(A, CHAT, None, now=9.0)
    assert roster.listening(ROOT, now=15.0) == (A,)


def test_who_says_nothing_or_leaves_is_forgotten() -> None:
    roster = Roster(10.0)
    roster.heard(A, ROOT, _report(), now=0.0)
    roster.heard(B, ROOT, None, now=5.0)
    assert roster.listening(ROOT, now=10.1) == (B,)
    roster.left(B)
    roster.left(B)
    assert roster.listening(ROOT, now=10.1) == ()


def test_lag_is_counted_from_whoever_has_read_most() -> None:
    roster = Roster(10.0)
    roster.heard(A, ROOT, _report(7500), now=1.0)
    roster.heard(B, ROOT, None, now=2.0)
    me, a, b = roster.records(ME, _report(5000), [B], now=3.0)
    assert (me.server, me.lag, me.answered, me.silent_for) == (ME, 2.5, True, 0.0)
    assert (a.kind, a.lag, a.answered, a.silent_for, a.name, a.clients) == (
        PeerKind.PYTHON,
        0.0,
        False,
        2.0,
        "web:1",
        3,
    )
    assert (b.kind, b.lag, b.answered, b.name, b.clients) == (PeerKind.NODE, None, True, "", None)


def test_a_report_that_is_none_is_told() -> None:
    good = _report().fields()
    assert Report.read(good) == _report()
    for name, value in (
        ("name", 1),
        ("clients", "3"),
        ("namespaces", "/"),
        ("namespaces", [1]),
        ("position", "x"),
        ("position", None),
    ):
        assert Report.read({**good, name: value}) is None
    assert Report.read(None) is None
