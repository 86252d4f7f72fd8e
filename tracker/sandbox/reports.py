"""The statistics call: getSendingStatus, also by the name getSendingStatistics.

Source: PROTOCOL 8. The answer links to a file that the sandbox serves. Which element holds the link
is not documented; here it is URL. The file is written by report.py when it is fetched.
"""

import re
import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from lxml import etree

from tracker.protocol.codes import error_meaning
from tracker.protocol.request import PassRequest
from tracker.protocol.response import GatewayResponse, response_xml

from .account import Account
from .options import SandboxOptions

ADDRESS: Final = "/reports/"
_ACTIONS: Final = frozenset({"getsendingstatus", "getsendingstatistics"})
_FORM: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_KEPT: Final = 20


@dataclass(frozen=True, slots=True)
class Period:
    """What a report is about: messages accepted from `start` up to and with `end`."""

    start: datetime
    end: datetime


class Reports:
    """The reports asked for lately. Any thread may ask."""

    def __init__(self, options: SandboxOptions) -> None:
        self.base_url = ""  # of the sandbox, once it listens
        self._options = options
        self._lock = threading.Lock()
        self._periods: OrderedDict[str, Period] = OrderedDict()
        self._asked_at: float | None = None

    def answer(self, request: PassRequest, account: Account) -> bytes:
        """Answer a statistics call."""
        found = self._judged(request, account)
        if isinstance(found, str):
            info = error_meaning(found) or "Refused"
            return response_xml(
                GatewayResponse(status="Failure", error_code=found, error_info=info)
            )
        name = f"{secrets.token_hex(8)}.xml"
        with self._lock:
            self._periods[name] = found
            if len(self._periods) > _KEPT:
                self._periods.popitem(last=False)
        root = etree.Element("RESPONSE")
        etree.SubElement(root, "STATUS").text = "Success"
        etree.SubElement(root, "URL").text = self.base_url + ADDRESS + name
        return etree.tostring(root, encoding="UTF-8", xml_declaration=True, pretty_print=True)

    def period(self, name: str) -> Period | None:
        """Return what a linked file is about; None when there is no such file."""
        with self._lock:
            return self._periods.get(name)

    def _judged(self, request: PassRequest, account: Account) -> Period | str:
        if not request.api_key:
            return "E102"
        if request.api_key != self._options.api_key:
            return "E104"
        for state, code in (("api_off", "E109"), ("ip", "E112")):
            if state in account.states:
                return code
        period = _period(request.others.get("START_DATE"), request.others.get("END_DATE"))
        if isinstance(period, str):
            return period
        if period.end - period.start > timedelta(days=self._options.report_days):
            return "E509"
        return "E510" if self._is_too_soon() else period

    def _is_too_soon(self) -> bool:
        now = time.monotonic()
        with self._lock:
            before, wait = self._asked_at, self._options.report_seconds
            if before is not None and now - before < wait:
                return True
            self._asked_at = now
            return False


def is_report_action(action: str | None) -> bool:
    """Say whether a call asks for statistics, by either name, in any case."""
    return (action or "").lower() in _ACTIONS


def _period(start: str | None, end: str | None) -> Period | str:
    if not start or not end:
        return "E506"
    if not (_FORM.fullmatch(start) and _FORM.fullmatch(end)):
        return "E507"
    try:
        first, last = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (start, end))
    except ValueError:
        return "E508"
    return Period(first, last) if first <= last else "E508"
