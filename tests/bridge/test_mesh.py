"""Whatever happens to bridges: nothing is lost, doubled, reordered, or goes in circles."""

from collections import Counter
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from recovery.stores.memory_state import Snapshot
from tests.bridge.regions import Bridging, Fault, Region, Regions, labels_of

numbers = st.integers(0, 11)
steps = st.one_of(
    st.tuples(st.just("emit"), numbers),
    st.tuples(st.just("say"), numbers),
    st.tuples(st.just("carry"), numbers, st.sampled_from(Fault), st.integers(1, 4)),
    st.tuples(st.just("restart"), numbers),
    st.tuples(st.just("copy"), numbers),
    st.tuples(st.just("fail over"), numbers),
    st.tuples(st.just("wait"), st.integers(0, 20_000)),
)
stories = st.lists(steps, max_size=40)


class Story:
    """What is told of some regions, and what has to be true in the end."""

    def __init__(self, count: int = 2, processes: int = 1) -> None:
        self.world = Regions(["east", "west", "south"][:count], processes=processes)
        self.lost: set[str] = set()
        self.regional: set[str] = set()
        self._copies: dict[str, Snapshot] = {}
        self._labels = iter(range(10**6))

    def tell(self, step: tuple[Any, ...]) -> None:
        """Let one thing happen."""
        region, bridge = self._region(step[1]), self._bridge(step[1])
        match step[0]:
            case "emit":
                region.emit(self._label(region))
            case "say":
                label = self._label(region)
                self.regional.add(label)
                region.emit(label, type=b"102")
            case "carry":
                bridge.step(step[2], count=step[3])
            case "restart":
                bridge.bearings = None
            case "copy":
                self._copies[region.name] = region.state.snapshot()
            case "fail over":
                self._fail_over(region)
            case _:
                self.world.now[0] += step[1]

    def judge(self) -> None:
        """Let everything arrive, and look."""
        self.world.drain()
        for region in self.world.regions:
            here = Counter(labels_of(region.entries()))
            assert set(here.values()) <= {1}, f"doubled in {region.name}: {here}"
            for other in self.world.regions:
                crossing = [each for each in other.emitted if each not in self.regional]
                owed = crossing if region is not other else other.emitted
                assert set(owed) - set(here) <= self.lost, f"lost on the way to {region.name}"
            carried = self.world.carried(region)
            assert not set(carried) & (self.regional | set(region.emitted))
            for other in self.world.regions:
                got = [label for label in carried if label in other.emitted]
                assert got == sorted(got, key=other.emitted.index), f"order in {region.name}"

    def _fail_over(self, region: Region) -> None:
        copy = self._copies.pop(region.name, None)
        if copy is not None:
            self.lost |= region.fail_over(copy) & set(region.emitted)

    def _region(self, number: int) -> Region:
        return self.world.regions[number % len(self.world.regions)]

    def _bridge(self, number: int) -> Bridging:
        return self.world.bridges[number % len(self.world.bridges)]

    def _label(self, region: Region) -> str:
        return f"{region.name}-{next(self._labels)}"


@given(st.integers(2, 3), st.integers(1, 2), stories)
@example(2, 1, [("emit", 0), ("carry", 0, Fault.REPLY_LOST, 4)])
@example(2, 1, [("emit", 0), ("carry", 0, Fault.KILLED_AFTER, 4)])
@example(2, 1, [("copy", 1), ("emit", 0), ("carry", 0, Fault.NONE, 4), ("fail over", 1)])
@example(2, 1, [("copy", 0), ("emit", 0), ("carry", 0, Fault.NONE, 4), ("fail over", 0), ("emit", 0)])
def test_each_entry_reaches_each_region_once_in_order(
    count: int, processes: int, story: list[tuple[Any, ...]]
) -> None:
    told = Story(count, processes)
    for step in story:
        told.tell(step)
    told.judge()


def test_what_is_between_servers_stays() -> None:
    told = Story()
    told.tell(("say", 0))
    told.tell(("emit", 0))
    told.judge()
    assert told.world.carried(told.world.regions[1]) == ["east-1"]


def test_a_source_that_has_lost_what_was_not_carried_over_makes_a_gap() -> None:
    told = Story()
    east = told.world.regions[0]
    told.tell(("emit", 0))
    told.world.bridges[0].step()
    for _ in range(3):
        told.tell(("emit", 0))
    last = east.entries()[-1].offset
    told.tell(("emit", 0))
    east.state.trim_stream(last)
    told.world.drain()
    assert sum(bridge.gaps for bridge in told.world.bridges) >= 1
    assert told.world.carried(told.world.regions[1]) == ["east-0", "east-4"]
