"""What other parts know about a row counts for batches too: templates, references, send windows."""

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from batch_support import a_file, a_row, clock, done, finish, queued, reasons, reread, rows_of

from tracker.domain.windows import SendWindow
from tracker.services import accounts, batches, submit, templates
from tracker.services.batch_work import BatchWorker
from tracker.services.batches import Order
from tracker.services.repeats import Repeat, RepeatDiffersError
from tracker.store.batches import BatchRow
from tracker.store.db import Sessions

EASTERN = ZoneInfo("America/New_York")
TICKET: Mapping[str, object] = {
    "title": "Event Ticket",
    "pass_type": "event ticket",
    "barcode": {"allowed": True, "type": "dynamic", "value_source": "dynamic value"},
}


@pytest.fixture
def repeat(sessions: Sessions) -> Repeat:
    return Repeat(accounts.create_token(sessions, "shop", actor="tests", now=clock()).id)


def done_for(sessions: Sessions, repeat: Repeat, content: bytes, **order: Any) -> BatchRow:
    """Hand a file in as a token does, and work on it to the end."""
    public_id = batches.receive(
        sessions, [content], Order(**order), actor="token:shop", default_from="60856",
        clock=clock, repeat=repeat,
    )  # fmt: skip
    finish(sessions, reread(sessions, public_id).id, step=2)
    return reread(sessions, public_id)


def describe(sessions: Sessions, description: Mapping[str, object]) -> None:
    templates.save(sessions, {"45633": description}, "tests", clock())


# Templates.


def test_a_row_that_the_template_refuses_is_wrong(sessions: Sessions) -> None:
    describe(sessions, TICKET)
    content = a_file([a_row(1, barcode=""), a_row(2, mms_id="7", barcode=""), a_row(3)])
    batch = done(sessions, content, skips_wrong_rows=True)
    assert rows_of(sessions, batch) == [2, 3]
    assert batch.wrong_rows == 1
    assert reasons(sessions, batch)[1].startswith("pass_data.BARCODEVALUE: ")


def test_a_template_described_between_check_and_queue_counts(sessions: Sessions) -> None:
    batch = done(sessions, a_file([a_row(1, barcode=""), a_row(2)]), is_dry_run=True)
    describe(sessions, TICKET)
    batches.start(sessions, batch.public_id, skips_wrong_rows=False, actor="t", now=clock())
    finish(sessions, batch.id)
    batch = reread(sessions, batch.public_id)
    assert rows_of(sessions, batch) == [2]
    assert (batch.wrong_rows, batch.queued_rows) == (1, 1)
    assert reasons(sessions, batch).keys() == {1}


# References.


def test_a_reference_that_its_token_has_used_is_a_wrong_row(
    sessions: Sessions, repeat: Repeat
) -> None:
    request = {"to": "12025550143", "mms_id": "1", "from": "1234", "reference": "r-2"}
    first, _ = submit.one(sessions, request, default_from=None, now=clock(), repeat=repeat)
    batch = done_for(sessions, repeat, a_file(3), skips_wrong_rows=True)
    assert rows_of(sessions, batch) == [1, 3]
    assert f"was used before, for message {first}" in reasons(sessions, batch)[2]


def test_the_same_file_of_a_token_sends_nothing_twice(sessions: Sessions, repeat: Repeat) -> None:
    assert done_for(sessions, repeat, a_file(5)).queued_rows == 5
    again = done_for(sessions, repeat, a_file(6), skips_wrong_rows=True)
    assert rows_of(sessions, again) == [6]
    assert again.wrong_rows == 5


def test_a_reference_that_was_queued_by_file_is_taken(sessions: Sessions, repeat: Repeat) -> None:
    batch = done_for(sessions, repeat, a_file(["12025550143,1,r-1"], "to,mms_id,reference"))
    request = {"from": "60856", "to": "12025550143", "mms_id": "1", "reference": "r-1"}
    public_id, _ = submit.one(sessions, request, default_from=None, now=clock(), repeat=repeat)
    assert public_id == queued(sessions, batch)[0].public_id  # the very same request
    with pytest.raises(RepeatDiffersError):
        submit.one(sessions, request | {"to": "12025550144"}, default_from=None, now=clock(),
                   repeat=repeat)  # fmt: skip


def test_a_reference_that_is_in_the_file_twice_is_wrong_for_a_token(
    sessions: Sessions, repeat: Repeat
) -> None:
    rows = [a_row(1), a_row(2), a_row(3, reference="r-1"), a_row(4)]
    batch = done_for(sessions, repeat, a_file(rows), skips_wrong_rows=True)
    assert rows_of(sessions, batch) == [1, 2, 4]
    assert reasons(sessions, batch) == {3: "reference: is in row 1 too"}


def test_a_reference_taken_between_check_and_queue_is_left_out(
    sessions: Sessions, repeat: Repeat
) -> None:
    batch = done_for(sessions, repeat, a_file(3), is_dry_run=True)
    request = {"to": "12025550143", "mms_id": "1", "from": "1234", "reference": "r-2"}
    submit.one(sessions, request, default_from=None, now=clock(), repeat=repeat)
    batches.start(sessions, batch.public_id, skips_wrong_rows=False, actor="t", now=clock())
    finish(sessions, batch.id)
    assert rows_of(sessions, batch) == [1, 3]
    assert reasons(sessions, batch).keys() == {2}


def test_references_of_another_token_are_free(sessions: Sessions, repeat: Repeat) -> None:
    done_for(sessions, repeat, a_file(2))
    other = Repeat(accounts.create_token(sessions, "other", actor="tests", now=clock()).id)
    assert done_for(sessions, other, a_file(2)).queued_rows == 2


# Send windows.


def test_rows_wait_for_the_send_window_of_their_recipient(sessions: Sessions) -> None:
    night = datetime(2026, 7, 1, 3, 0, tzinfo=UTC)  # eleven in the evening in Washington
    content = a_file(
        ["12025550143,1,", "12025550144,1,2026-07-03T09:00:00Z", "12025550145,1,2026-07-03T15:00Z"],
        "to,mms_id,send_at",
    )
    public_id = batches.receive(
        sessions, [content], Order(), actor="t", default_from="60856", clock=lambda: night
    )
    window = SendWindow(time(8), time(21), EASTERN)
    worker = BatchWorker(sessions, lambda: night, window=window)
    worker.finish(reread(sessions, public_id).id)
    found = [message.due_at for message in queued(sessions, reread(sessions, public_id))]
    opening = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
    assert found == [opening, opening + timedelta(days=2), opening + timedelta(days=2, hours=3)]


def test_without_a_window_rows_are_due_at_once(sessions: Sessions) -> None:
    batch = done(sessions, a_file(1))
    (message,) = queued(sessions, batch)
    assert message.due_at == message.created_at
