"""What the sandbox does with the messages to one number."""

import re
from dataclasses import dataclass
from typing import Final, Literal, get_args

from .chance import NONE, Span

Outcome = Literal[
    "delivered",
    "link",  # an SMS with a link instead
    "link_failed",  # and that SMS failed: E202
    "no_receipt",  # N101 and never a word more
    "expired",
    "rejected",
    "unsupported",
    "failed",  # E101 instead of N101
    "failed_late",  # E102 after N101
    "ddm_timeout",  # no receipt of the discovery message; then delivered, as the next two
    "ddm_failed",  # E501
    "ddm_undelivered",  # E502
]
# "legacy_bare" has no BODY in its NOTIFICATION; "json" has the successor's names.
Dialect = Literal["1.3", "xsi", "sinch", "legacy", "legacy_bare", "json"]
Fault = Literal[
    "normal",
    "garbage",
    "empty",
    "http500",
    "close",  # the connection, once the call was read
    "reset",  # the same, rudely
    "cut",  # in the middle of the answer
    "drip",  # the answer comes a few bytes at a time
    "slow",
    "no_tracking_id",
]

_FAULTS: Final = get_args(Fault)
_ERROR_CODE: Final = re.compile(r"E[0-9]{3}")


def is_error_code(answer: str) -> bool:
    """Say whether an answer on demand is an API error code, such as E503."""
    return _ERROR_CODE.fullmatch(answer) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How calls for a number are answered and which postbacks follow; by default all goes well.

    `answer` is a `Fault`, whose message is accepted all the same, or an API error code. With
    `answer_times` it is given to the first calls for the number only.
    """

    outcome: Outcome = "delivered"
    answer: str = "normal"
    answer_times: int | None = None
    postback_before_answer: bool = False
    duplicate: bool = False  # every postback twice, byte for byte
    reorder: bool = False  # the receipt ahead of N101
    drop: frozenset[str] = frozenset()  # codes that are never posted
    also: tuple[str, ...] = ()  # codes posted at the end, whatever they are
    delay_seconds: float = 0.0  # before everything else, in gateway time
    dialect: Dialect = "1.3"
    form_encoded: bool = False  # the postback in form field `xml`
    together: bool = False  # all postbacks in one POST, as its last one falls due; legacy only
    error_info: str | None = None  # in place of the usual text of an error
    answer_delay: Span = NONE  # of the answer, in real seconds, beyond that of all answers
    drip_seconds: float = 5.0  # how long an answer drips
    n101_delay: Span | None = None  # in place of the usual ones
    receipt_delay: Span | None = None
    spid: str | None = None  # the carrier, in place of one that the number decides
    handset: str | None = None

    def __post_init__(self) -> None:
        for value, known in (
            (self.outcome, get_args(Outcome)),
            (self.dialect, get_args(Dialect)),
        ):
            if value not in known:
                raise ValueError(f"{value!r} is none of {', '.join(known)}")
        check_answer(self.answer)
        if self.together and not self.is_legacy:
            raise ValueError("several postbacks in one POST are of the legacy dialects only")

    @property
    def is_legacy(self) -> bool:
        """Say whether ids are plain and the wrapper is a NOTIFICATION."""
        return self.dialect in ("legacy", "legacy_bare")


def check_answer(answer: str) -> None:
    """Raise ValueError for an answer on demand that does not exist."""
    if answer not in _FAULTS and not is_error_code(answer):
        raise ValueError(f"{answer!r} is neither an error code nor one of {', '.join(_FAULTS)}")
