"""Asking: what the parameters of an address mean, checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request

from recovery.errors import MalformedError
from recovery.inspect.listing import Filter, SortKey
from recovery.inspect.records import SessionState
from recovery.inspect.web.surveys import MOST_LISTED, Wanted
from recovery.inspect.words import parse_duration
from recovery.offsets import Offset, parse_offset

__all__ = [
    "FILTERS",
    "PAGE_SIZE",
    "Question",
    "given_offset",
    "number_of",
    "read_form",
    "read_question",
]

PAGE_SIZE = 50
_MOST_ON_A_PAGE = 500
_LONGEST = 500  # characters of a parameter
_MOST_FORM_BYTES = 16_384

FILTERS: Mapping[str, str] = {
    "q": "text in a sid or a room, the beginning of a server's id, a pid, or the first 6 characters of one",
    "namespace": "only those of this namespace",
    "room": "only those in this room",
    "owner": "only those of this server; the beginning of its id will do",
    "state": "only those in this state; again for others",
    "older": "only those so long in their state: `90`, `10m`, `2h`",
    "younger": "only those not longer in their state",
}
"""The parameters that choose sessions, and what they mean."""


@dataclass(frozen=True, slots=True)
class Question:
    """Which sessions, in which order, and which page of them."""

    wanted: Wanted
    page: int
    size: int
    given: tuple[tuple[str, str], ...]

    def address(self, **changes: object) -> str:
        """The same question with something changed, as it is written behind the question mark."""
        kept = [(name, value) for name, value in self.given if name not in changes and value]
        return urlencode([*kept, *((name, str(value)) for name, value in changes.items())])

    @property
    def until(self) -> int:
        """How many have to be found for this page, and to know whether there is another."""
        return self.page * self.size + 1


def read_question(parameters: QueryParams, *, size: int = PAGE_SIZE) -> Question:
    """Read what is asked about sessions; raises `MalformedError`."""
    older, younger = _text(parameters, "older"), _text(parameters, "younger")
    try:
        chosen = Filter(
            namespace=_text(parameters, "namespace"),
            room=_text(parameters, "room"),
            owner=_text(parameters, "owner"),
            states=frozenset(SessionState(each) for each in parameters.getlist("state") if each),
            older_ms=None if older is None else parse_duration(older),
            younger_ms=None if younger is None else parse_duration(younger),
            text=_text(parameters, "q"),
        )
        sort = _text(parameters, "sort")
        wanted = Wanted(chosen, None if sort is None else SortKey(sort))
    except ValueError as error:
        raise MalformedError(str(error)) from error
    size = number_of(parameters, "size", size, most=_MOST_ON_A_PAGE)
    page = number_of(parameters, "page", 1, most=MOST_LISTED)
    names = (*FILTERS, "sort", "size", "page")
    given = tuple((name, value) for name in names for value in parameters.getlist(name))
    return Question(wanted, page, size, given)


def number_of(parameters: QueryParams, name: str, default: int, *, most: int) -> int:
    """A whole number from 1 on; raises `MalformedError`."""
    text = _text(parameters, name)
    if text is None:
        return default
    if not text.isdecimal() or not 1 <= int(text[:12]) <= most:
        raise MalformedError(f"{name} is {text[:40]!r}, expected a number from 1 to {most}")
    return int(text)


def given_offset(parameters: QueryParams, name: str) -> Offset | None:
    """An offset; raises `MalformedError`."""
    text = _text(parameters, name)
    try:
        return None if text is None else parse_offset(text)
    except ValueError as error:
        raise MalformedError(str(error)) from error


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form that was sent; raises `MalformedError` if it is larger than any of ours."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MOST_FORM_BYTES:
            raise MalformedError("the form is too large")
    return dict(parse_qsl(body.decode("utf-8", "replace")))


def _text(parameters: QueryParams, name: str) -> str | None:
    """A parameter; None if it is not there, or empty, as of a field that was left blank."""
    text = (parameters.get(name) or "").strip()
    if len(text) > _LONGEST:
        raise MalformedError(f"{name} has {len(text)} characters, expected {_LONGEST} at most")
    return text or None
