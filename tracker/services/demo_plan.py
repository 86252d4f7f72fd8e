"""What happens in the demonstration's week: invented people, their messages, and every postback.

All of it follows from the seed, the number of messages and the moment it ends; nothing here reads
a clock or a database. The numbers are of the block 555-01xx, which belongs to nobody.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Final, TypeVar
from uuid import UUID
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

from tracker.protocol.codes import error_meaning

T = TypeVar("T")

HOUR: Final = timedelta(hours=1)
WEEK: Final = timedelta(days=7)
BATCH_BEFORE_END: Final = timedelta(minutes=40)
SENDER: Final = "60856"
CARRIERS: Final = {"0001890": "Verizon Wireless", "0001570": "T-Mobile", "0001140": "AT&T"}

_LONGEST_CALL: Final = timedelta(seconds=32)
_AREAS: Final = (
    "202", "206", "212", "213", "214", "215", "267", "303", "305", "312", "347", "404", "415",
    "503", "512", "602", "612", "617", "702", "704", "713", "773", "813", "901", "916",
)  # fmt: skip
# What an hour of the day carries against another, by the gateway's clock, from midnight on.
_HOURS: Final = (
    1,
    1,
    1,
    1,
    1,
    2,
    5,
    12,
    22,
    30,
    34,
    32,
    28,
    30,
    31,
    30,
    28,
    30,
    33,
    28,
    18,
    9,
    4,
    2,
)
_WEEKEND: Final = 0.6
_HANDSETS: Final = {
    "iphone5": 34,
    "nexus5": 24,
    "motol7c": 15,
    "galaxys4": 14,
    "lumia920": 8,
    "xt1032": 5,
}
_SPIDS: Final = {"0001890": 45, "0001570": 35, "0001140": 20}
_RECEIPT_SECONDS: Final = {"0001890": 9.0, "0001570": 16.0, "0001140": 31.0}  # the median of each
_SENDINGS: Final = {
    ("45633", "2071"): 50,
    ("45633", "2088"): 15,
    ("35674", "2093"): 25,
    ("35674", None): 10,
}
_REFUSALS: Final = {"E628": 6, "E110": 4}
_ENDS: Final = {
    "delivered": 9330, "no receipt": 480, "expired": 60, "rejected": 40, "unsupported": 40,
    "failed": 30, "failed late": 20,
}  # fmt: skip
# Two days before the end, one carrier is in trouble for three hours.
_TROUBLE: Final = ("0001140", timedelta(hours=50), timedelta(hours=47))


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a phone, which takes MMS or only a text message with a link."""

    number: str
    spid: str
    handset: str
    takes_mms: bool


@dataclass(frozen=True, slots=True)
class Post:
    """One body that the gateway posts, and when."""

    at: datetime
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One message: who gets it, when it is queued, called for and answered, and the answer.

    It was accepted when it has a tracking id, refused when it has a code, else its answer was lost.
    One that is held back waits in a paused batch, and no call was made for it.
    """

    public_id: UUID
    to: str
    mms_id: str
    campaign_ref: str | None
    created_at: datetime
    begun_at: datetime
    answered_at: datetime
    tracking_id: str | None
    code: str | None
    posts: tuple[Post, ...]
    reference: str | None = None
    batch_row: int | None = None
    is_held_back: bool = False

    @property
    def info(self) -> str | None:
        """What is told beside the answer, if it was not a tracking id."""
        if self.tracking_id or self.is_held_back:
            return None
        return error_meaning(self.code) if self.code else "no answer within 30 seconds"


class Plan:
    """A week of traffic that ends at `until`, of about `messages` messages."""

    def __init__(self, messages: int, until: datetime, zone: ZoneInfo, seed: int) -> None:
        self.begin = until - WEEK
        self.until = until
        self.batch_at = until - BATCH_BEFORE_END
        self._messages = messages
        self._zone = zone
        self._random = Random(seed)  # noqa: S311  # repeatable is what is wanted here
        self._number = 0
        self._people = self._invented()

    def hours(self) -> Iterator[list[Planned]]:
        """Yield the messages of each hour in order of time."""
        weights = [self._weight(self.begin + hour * HOUR) for hour in range(WEEK // HOUR)]
        total, passed, made = sum(weights), 0.0, 0
        for hour, weight in enumerate(weights):
            passed += weight
            count = round(self._messages * passed / total) - made
            made += count
            begin = self.begin + hour * HOUR
            room = HOUR - _LONGEST_CALL  # the last answers are to come before the end, too
            moments = sorted(begin + self._random.random() * room for _ in range(count))
            yield [self._message(_whole(moment)) for moment in moments]

    def oddities(self) -> list[Post]:
        """Return what the gateway posts beside: what fits no message, opt-outs, its own trouble."""
        strangers = [
            Post(self._before(48), self._told("N101", self._someone(), f"MMS_9{n:05d}"))
            for n in range(2 + self._messages // 1000)
        ]
        person = self._people[0]
        subscription = {
            "MOBILE": person.number, "CAMPAIGNID": "2071", "SHORTCODE": SENDER, "SOURCE": "MO",
        }  # fmt: skip
        return [
            *strangers,
            Post(self._before(30), _xml({"ORIGIN": "SUB", "CODE": "N302", **subscription})),
            Post(self._before(6), b"<POSTBACK><STATUS>Message Sent</STATUS></POSTBACK>"),
            Post(self._before(4), _xml({
                "ORIGIN": "MMS_MT", "CODE": "E999", "STATUS": "Message Failed",
                "STATUSDETAILS": "Queue processing was delayed",
            })),
        ]  # fmt: skip

    def forged(self, planned: Planned) -> Post:
        """Return a postback that names a message of ours and another recipient."""
        other = next(person for person in self._people if person.number != planned.to)
        at = planned.answered_at + timedelta(minutes=2)
        return Post(at, self._told("N102", other, planned.tracking_id, at))

    def seats(self, rows: int) -> list[Planned]:
        """Return the messages of a file, of which two thirds are sent before it is paused."""
        sent = rows * 2 // 3
        return [
            self._seat(row, person, is_held_back=row > sent)
            for row, person in enumerate(self._people[1 : rows + 1], 1)
        ]

    def _seat(self, row: int, person: Person, *, is_held_back: bool) -> Planned:
        begun_at = self.batch_at + timedelta(seconds=2 + row // 8)
        answered_at = begun_at + timedelta(milliseconds=300)
        tracking_id = None if is_held_back else self._tracking_id()
        posts = self._delivery(person, "45633", tracking_id, answered_at) if tracking_id else ()
        return Planned(
            public_id=self._uuid(), to=person.number, mms_id="45633", campaign_ref=None,
            created_at=self.batch_at, begun_at=begun_at, answered_at=answered_at,
            tracking_id=tracking_id, code=None, posts=tuple(posts),
            reference=f"seat-{row:04d}", batch_row=row, is_held_back=is_held_back,
        )  # fmt: skip

    def _message(self, created_at: datetime) -> Planned:
        draw, person = self._random, self._someone()
        mms_id, campaign_ref = self._choice(_SENDINGS)
        begun_at = created_at + timedelta(seconds=draw.uniform(0.2, 1.5))
        answered_at = begun_at + timedelta(seconds=draw.uniform(0.1, 0.6))
        tracking_id: str | None = None
        code: str | None = None
        posts: list[Post] = []
        chance = draw.random()
        if chance < 0.006:
            code = self._choice(_REFUSALS)
        elif chance < 0.010:
            answered_at = begun_at + timedelta(seconds=30)
            if chance < 0.008:  # it was sent after all, under an id that nobody was told
                lost_id = self._tracking_id()
                told = self._told("N101", person, lost_id, answered_at, MMSID=mms_id)
                posts = [Post(answered_at, told)]
        else:
            tracking_id = self._tracking_id()
            posts = list(self._delivery(person, mms_id, tracking_id, answered_at))
        return Planned(
            public_id=self._uuid(),
            to=person.number, mms_id=mms_id, campaign_ref=campaign_ref,
            created_at=created_at, begun_at=begun_at, answered_at=answered_at,
            tracking_id=tracking_id, code=code, posts=tuple(posts),
        )  # fmt: skip

    def _delivery(
        self, person: Person, mms_id: str, tracking_id: str, answered_at: datetime
    ) -> Iterator[Post]:
        end = self._end(person, answered_at)
        sent_at = answered_at + timedelta(seconds=self._random.uniform(0.8, 6))
        if end == "failed":
            why = "Error fetching dynamic content"
            told = self._told("E101", person, tracking_id, MMSID=mms_id, STATUSDETAILS=why)
            yield Post(sent_at, told)
            return
        sent_as = "MMS" if person.takes_mms else "SMS"
        about = {"MMSID": mms_id, "SENTAS": sent_as}
        told = self._told("N101", person, tracking_id, sent_at, **about)
        yield Post(sent_at, told)
        if self._random.random() < 0.01:
            yield Post(sent_at + timedelta(minutes=5), told)
        if end != "no receipt":
            yield self._receipt(person, tracking_id, end, sent_at, about)

    def _receipt(
        self, person: Person, tracking_id: str, end: str, sent_at: datetime, about: dict[str, str]
    ) -> Post:
        code, phrase = _RECEIPTS[end]
        more: dict[str, str | None] = {**about, "STATUS": phrase}
        if end == "delivered" and person.takes_mms:
            more["HANDSET"] = person.handset
        elif end == "delivered":
            code = "N202"
        usual = _RECEIPT_SECONDS[person.spid] * self._random.lognormvariate(0, 0.9)
        patience = self._random.uniform(4, 12) * 3600  # of the carrier, with a phone that is off
        at = sent_at + timedelta(seconds=patience if end == "expired" else usual)
        return Post(at, self._told(code, person, tracking_id, at, **more))

    def _end(self, person: Person, at: datetime) -> str:
        spid, begin, end = _TROUBLE
        in_trouble = person.spid == spid and begin >= self.until - at >= end
        if in_trouble and self._random.random() < 0.7:
            return "rejected"
        return self._choice(_ENDS)

    def _told(
        self,
        code: str,
        person: Person,
        tracking_id: str | None,
        at: datetime | None = None,
        **more: str | None,
    ) -> bytes:
        """Return a postback in the 1.3 dialect, with other elements where they are given.

        Source: PROTOCOL 6.3.
        """
        fields: dict[str, str | None] = {
            "ORIGIN": "MMS_MT",
            "CODE": code,
            "SENTAS": "MMS",
            "STATUS": _PHRASES.get(code),
            "MMSID": "45633",
            "FROM": SENDER,
            "TO": person.number,
            "TRACKINGID": tracking_id,
            "SPID": person.spid,
            "TIMESTAMP": at.astimezone(self._zone).isoformat(timespec="seconds") if at else None,
        }
        return _xml({**fields, **more})

    def _invented(self) -> Sequence[Person]:
        numbers = [f"1{area}55501{line:02d}" for area in _AREAS for line in range(100)]
        self._random.shuffle(numbers)
        return [
            Person(
                number, self._choice(_SPIDS), self._choice(_HANDSETS), self._random.random() > 0.07
            )
            for number in numbers[: max(60, self._messages // 3)]
        ]

    def _tracking_id(self) -> str:
        """Return a tracking id as the gateway counts them."""
        self._number += 1
        return f"MMS_{4_100_000 + self._number}"

    def _uuid(self) -> UUID:
        return UUID(int=self._random.getrandbits(128), version=4)

    def _someone(self) -> Person:
        return self._random.choice(self._people)

    def _choice(self, among: Mapping[T, int]) -> T:
        return self._random.choices(list(among), list(among.values()))[0]

    def _weight(self, hour: datetime) -> float:
        local = hour.astimezone(self._zone)
        return _HOURS[local.hour] * (_WEEKEND if local.weekday() >= 5 else 1.0)

    def _before(self, hours: int) -> datetime:
        return self.until - self._random.random() * hours * HOUR


_PHRASES: Final = {
    "N101": "Message Sent", "N102": "Message Sent/Delivered", "E101": "Message Failed",
}  # fmt: skip
_RECEIPTS: Final = {
    "delivered": ("N102", "Message Sent/Delivered"),
    "expired": ("N102", "Message Sent/Expired"),
    "rejected": ("N102", "Message Sent/Rejected"),
    "unsupported": ("E102", "Message Sent/NotSupported"),
    "failed late": ("E102", "Message Sent/Failed"),
}


def _xml(fields: Mapping[str, str | None]) -> bytes:
    inner = "".join(f"<{n}>{escape(v)}</{n}>" for n, v in fields.items() if v is not None)
    return f"<?xml version='1.0'?>\n<POSTBACK>{inner}</POSTBACK>".encode()


def _whole(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
