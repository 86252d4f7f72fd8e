"""Reports: what became of the messages of a period, by one of their properties."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from flask import Response

from tracker.domain.overview import Measure
from tracker.domain.report import MEASURES, GroupBy
from tracker.domain.status import Status
from tracker.services import reports
from tracker.services.reports import NAMES, Report
from tracker.store.models import Scope

from .. import context
from ..downloads import csv_answer
from . import bp, reading
from .batch_schemas import CSV
from .describing import answer, component, described, in_query
from .reading import Reader
from .shapes import COUNT, MAYBE, TIME, Json, answered, said

_FILTERS: Final[Mapping[str, Reader]] = {
    "from": reading.moment,
    "to": reading.moment,
    "group_by": partial(reading.word, GroupBy),
}
_PARAMETERS: Final = in_query(
    _FILTERS,
    {
        "from": "From this hour; without it a week before `to`; 3660 days at most, 31 by hour.",
        "to": "Up to this time, and to the end of its hour; without it up to now.",
        "group_by": "What a line stands for; `day` without it. Days and hours are those of UTC.",
    },
)
_WORDS: Final = {
    Measure.SENT: "The gateway took them.",
    Measure.DELIVERED: "A receipt says so.",
    Measure.LINK: "Of the delivered, as a text message with a link.",
    Measure.WAITING: "In the queue, or without a receipt so far.",
    Measure.FAILED: "Refused, or a receipt says so.",
    Measure.UNKNOWN: "No answer of the gateway, or no receipt in days.",
}
_COUNTS: Final[Json] = {
    "messages": said(COUNT, "All of them, cancelled ones too."),
    **{NAMES.get(m, m.value): said(COUNT, _WORDS[m]) for m in MEASURES},
    "delivery_share": said(
        {"type": ["number", "null"], "minimum": 0, "maximum": 1},
        "The delivered of those that the gateway took; null when it took none.",
    ),
    "statuses": said(answered({status.value: COUNT for status in Status}), "How many have which."),
}
_LINE_EXAMPLE: Final[Json] = {
    "group": "2026-11-27", "messages": 220, "sent": 214, "delivered": 202, "delivered_as_link": 9,
    "waiting": 7, "failed": 5, "unknown": 0, "delivery_share": 0.9439,
    "statuses": {
        **dict.fromkeys(map(str, Status), 0),
        "queued": 1, "sent": 6, "delivered": 202, "refused": 5, "expired": 4, "rejected": 2,
    },
}  # fmt: skip
_EXAMPLE: Final[Json] = {
    "from": "2026-11-20T18:00:00Z", "to": "2026-11-27T18:00:00Z", "group_by": "day",
    "as_of": "2026-11-27T17:42:10Z", "is_behind": False, "items": [_LINE_EXAMPLE],
    "total": {**_LINE_EXAMPLE, "group": None},
}  # fmt: skip
LINE: Final = component(
    "ReportLine",
    answered(
        {
            "group": said(
                MAYBE, "What the line stands for; null where messages have no such value."
            ),
            **_COUNTS,
        }
    ),
    _LINE_EXAMPLE,
)
REPORT: Final = component(
    "Report",
    answered(
        {
            "from": TIME,
            "to": said(TIME, "The first moment that is not in it."),
            "group_by": {"type": "string", "enum": [str(one) for one in GroupBy]},
            "as_of": TIME,
            "is_behind": said(
                {"type": "boolean"}, "Some of its hours have changed since they were counted."
            ),
            "items": {"type": "array", "items": LINE},
            "total": LINE,
        }
    ),
    _EXAMPLE,
)


@bp.get("/reports/summary")
@described(
    "Report on a period",
    scope=Scope.READ,
    parameters=_PARAMETERS,
    answers={200: answer("The report.", REPORT, _EXAMPLE)},
    errors=(400,),
)
def get_summary() -> dict[str, Any]:
    """Return what became of the messages that were queued in a period."""
    return reports.describe(_report())


@bp.get("/reports/summary.csv")
@described(
    "Report on a period, as a file",
    scope=Scope.READ,
    parameters=_PARAMETERS,
    answers={200: answer("One line a group.", CSV, media_type="text/csv")},
    errors=(400,),
)
def get_summary_file() -> Response:
    """Return the lines of the same report as CSV."""
    report = _report()
    return csv_answer(reports.report_csv(report), f"report-{report.begin:%Y-%m-%d}.csv")


def _report() -> Report:
    asked = reading.filters(_FILTERS)
    by = GroupBy(asked.get("group_by", GroupBy.DAY))
    with context.sessions()() as session:
        return reports.summary(session, asked.get("from"), asked.get("to"), by, context.now())
