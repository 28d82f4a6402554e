"""The checker finds each kind of fault in what real clients saw, and only these."""

from collections.abc import Sequence

import pytest

from tests.e2e.checker import Kind, Label, Seen, Sent, check, explain

BOTH = frozenset({"ann", "bob"})
ONLY_ANN = frozenset({"ann"})


def sent(*numbers: int, producer: str = "p", audience: frozenset[str] = BOTH) -> list[Sent]:
    return [Sent(Label(producer, number), audience) for number in numbers]


def seen(*numbers: int, producer: str = "p", offsets: Sequence[str | None] = ()) -> list[Seen]:
    padded = [*offsets, *[None] * (len(numbers) - len(offsets))]
    return [Seen(Label(producer, number), offset) for number, offset in zip(numbers, padded, strict=True)]


def kinds(packets: list[Sent], **clients: list[Seen]) -> list[tuple[Kind, str]]:
    return [(finding.kind, finding.client) for finding in check(packets, clients)]


def test_a_clean_run_has_no_findings() -> None:
    packets = sent(1, 2, 3) + sent(4, audience=ONLY_ANN)
    assert kinds(packets, ann=seen(1, 2, 3, 4), bob=seen(1, 2, 3)) == []
    assert explain([]).startswith("nothing")


def test_a_packet_that_a_client_never_saw_is_lost() -> None:
    assert kinds(sent(1, 2, 3), ann=seen(1, 3), bob=seen(1, 2, 3)) == [(Kind.LOST, "ann")]


def test_a_client_that_saw_nothing_lost_everything() -> None:
    assert kinds(sent(1, 2), ann=[], bob=seen(1, 2)) == [(Kind.LOST, "ann"), (Kind.LOST, "ann")]


def test_a_packet_seen_twice_is_doubled() -> None:
    findings = kinds(sent(1, 2), ann=seen(1, 2), bob=seen(1, 1, 2))
    assert findings == [(Kind.DOUBLED, "bob")]


def test_a_packet_for_somebody_else_is_a_stranger() -> None:
    packets = sent(1) + sent(2, audience=ONLY_ANN)
    assert kinds(packets, ann=seen(1, 2), bob=seen(1, 2)) == [(Kind.NOT_ADDRESSED, "bob")]


def test_a_packet_that_nobody_emitted_is_invented() -> None:
    assert kinds(sent(1), ann=seen(1, 9), bob=seen(1)) == [(Kind.INVENTED, "ann")]


def test_numbers_of_one_producer_that_go_back_are_disorder() -> None:
    assert kinds(sent(1, 2, audience=ONLY_ANN), ann=seen(2, 1)) == [(Kind.OUT_OF_ORDER, "ann")]


def test_every_packet_that_is_late_is_found() -> None:
    assert kinds(sent(1, 2, 3, audience=ONLY_ANN), ann=seen(3, 1, 2)) == [(Kind.OUT_OF_ORDER, "ann")] * 2


def test_offsets_that_go_back_are_disorder_though_the_producers_differ() -> None:
    packets = sent(1, producer="p", audience=ONLY_ANN) + sent(1, producer="q", audience=ONLY_ANN)
    backwards = seen(1, producer="p", offsets=["10-0"]) + seen(1, producer="q", offsets=["9-0"])
    forwards = seen(1, producer="p", offsets=["9-0"]) + seen(1, producer="q", offsets=["10-0"])
    assert kinds(packets, ann=backwards) == [(Kind.OUT_OF_ORDER, "ann")]
    assert kinds(packets, ann=forwards) == []


def test_two_clients_that_saw_another_order_disagree() -> None:
    packets = sent(1, producer="p") + sent(1, producer="q")
    p, q = seen(1, producer="p"), seen(1, producer="q")
    assert kinds(packets, ann=p + q, bob=q + p) in (
        [(Kind.DISAGREEMENT, "ann")],
        [(Kind.DISAGREEMENT, "bob")],
    )


def test_clients_agree_where_one_saw_less() -> None:
    packets = sent(1, 3) + sent(2, audience=ONLY_ANN)
    assert kinds(packets, ann=seen(1, 2, 3), bob=seen(1, 3)) == []


@pytest.mark.parametrize("count", [1, 50])
def test_the_explanation_counts_and_names_examples(count: int) -> None:
    text = explain(check(sent(*range(count), audience=ONLY_ANN), {"ann": []}))
    assert f"{count} x lost" in text
    assert "ann: packet p:0 lost" in text
    assert len(text.splitlines()) <= 12
