"""Templates at submit, as every way of queueing meets them; kept, changed and audited."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from builders import a_request, queued, reloaded
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from template_strategies import templates as any_template

from tracker.domain import template_words
from tracker.domain.message import InvalidMessageError, Problem
from tracker.domain.template_words import InvalidTemplateError
from tracker.domain.templates import Template
from tracker.services import accounts, manage, submit, template_files, templates
from tracker.services.repeats import Repeat
from tracker.services.template_files import UnreadableFileError
from tracker.store import suppressions
from tracker.store import templates as store
from tracker.store.db import Sessions
from tracker.store.models import AuditEntry, Message
from tracker.store.templates import TemplateRow

TICKET: Mapping[str, object] = {
    "title": "Event Ticket",
    "pass_type": "event ticket",
    "barcode": {"allowed": True, "type": "dynamic", "value_source": "dynamic value"},
    "dynamic_fields": ["HEADERVALUE1"],
    "fixed_fields": ["HEADERLABEL1"],
    "dynamic_slots": [2],
    "fixed_slots": [3],
}


def describe(sessions: Sessions, mms_id: str = "45633", **changes: object) -> None:
    templates.save(sessions, {mms_id: {**TICKET, **changes}}, "tests", datetime.now(UTC))


def warned(
    sessions: Sessions, repeat: Repeat | None = None, **changes: object
) -> tuple[Problem, ...]:
    """Queue a message and return what was worth a warning."""
    _, warnings = submit.one(
        sessions, a_request(**changes), default_from=None, now=datetime.now(UTC), repeat=repeat
    )
    return warnings


def count(sessions: Sessions) -> int:
    with sessions() as session:
        return session.scalar(select(func.count()).select_from(Message)) or 0


def audited(sessions: Sessions) -> list[tuple[str, str, str | None, str | None]]:
    with sessions() as session:
        rows = session.scalars(select(AuditEntry).order_by(AuditEntry.id))
        return [(row.actor, row.action, row.subject, row.detail) for row in rows]


def test_without_a_description_nothing_is_blocked_and_nothing_is_warned_of(
    sessions: Sessions,
) -> None:
    describe(sessions, mms_id="35674")
    assert warned(sessions, pass_data={"HEADERLABEL1": "Gate", "SECLABEL4": "x"}) == ()


def test_a_send_against_the_template_is_refused_and_not_queued(sessions: Sessions) -> None:
    describe(sessions)
    with pytest.raises(InvalidMessageError) as caught:
        warned(sessions, pass_data={"HEADERLABEL1": "Gate", "RELTEXT3": "x"})
    assert [p.field for p in caught.value.problems] == [
        "pass_data.BARCODEVALUE",
        "pass_data.HEADERLABEL1",
        "pass_data.RELTEXT3",
    ]
    for problem, code in zip(caught.value.problems, ("E803", "E840", "E872"), strict=True):
        assert f"the gateway would answer {code}: " in problem.detail
    assert count(sessions) == 0


def test_a_stored_mms_without_a_pass_is_refused(sessions: Sessions) -> None:
    describe(sessions, has_pass=False)
    with pytest.raises(InvalidMessageError, match=r"mms_id: has no pass .*E822"):
        warned(sessions)


def test_what_the_gateway_would_ignore_is_a_warning(sessions: Sessions) -> None:
    describe(sessions)
    given = {"BARCODEVALUE": "1", "BARCODETEXT": "1", "SECLABEL1": "x", "PRIMARYVALUE2": "y"}
    found = warned(sessions, pass_data=given)
    assert [w.field for w in found] == [
        "pass_data.BARCODETEXT",
        "pass_data.PRIMARYVALUE2",
        "pass_data.SECLABEL1",
    ]


def test_a_request_made_again_gives_the_same_warnings_also_when_the_template_is_stricter_by_now(
    sessions: Sessions,
) -> None:
    made = accounts.create_token(sessions, "shop", actor="tests", now=datetime.now(UTC))
    repeat = Repeat(made.id, "order-17")
    given = {"BARCODEVALUE": "1", "SECLABEL1": "x"}
    describe(sessions)
    first = warned(sessions, repeat, pass_data=given)
    assert [w.field for w in first] == ["pass_data.SECLABEL1"]
    assert warned(sessions, repeat, pass_data=given) == first
    describe(sessions, fixed_fields=["SECLABEL1"])
    warned(sessions, repeat, pass_data=given)
    assert count(sessions) == 1


def test_what_was_sent_before_is_not_sent_again_against_a_new_template(sessions: Sessions) -> None:
    old = queued(sessions, pass_data={"HEADERLABEL1": "Gate", "BARCODEVALUE": "1"})
    manage.cancel(sessions, old, "tests", datetime.now(UTC))
    describe(sessions)
    with pytest.raises(InvalidMessageError, match="E840"):
        manage.resend(sessions, old, "tests", datetime.now(UTC))
    assert reloaded(sessions, old).resent_as is None
    assert count(sessions) == 1


def said(sessions: Sessions, *, is_usable: bool, code: str, told_at: datetime) -> None:
    with sessions.begin() as session:
        suppressions.note_content(
            session, "45633", is_usable=is_usable, code=code, detail="Audio is broken",
            told_at=told_at, now=told_at,
        )  # fmt: skip


def test_an_mms_that_the_gateway_called_unusable_is_warned_of_until_it_is_usable(
    sessions: Sessions, now: datetime
) -> None:
    said(sessions, is_usable=False, code="E002", told_at=now)
    (warning,) = warned(sessions)
    assert (warning.field, warning.value) == ("mms_id", "45633")
    assert "unusable by the gateway" in warning.detail
    assert "(E002: Audio is broken)" in warning.detail
    said(sessions, is_usable=True, code="N003", told_at=now + timedelta(seconds=1))
    assert warned(sessions) == ()


def test_the_rules_of_many_are_read_at_once(sessions: Sessions) -> None:
    describe(sessions)
    describe(sessions, mms_id="35674", has_pass=False)
    with sessions() as session:
        found = templates.rules(session, ["45633", "35674", "39755"])
    assert set(found.templates) == {"45633", "35674"}
    assert found.unusable == {}


def test_every_change_is_audited_and_says_what_changed(sessions: Sessions) -> None:
    describe(sessions)
    describe(sessions, title="Other", fixed_slots=[])
    describe(sessions, title="Other", fixed_slots=[])
    assert templates.remove(sessions, "45633", "tests", datetime.now(UTC))
    assert not templates.remove(sessions, "45633", "tests", datetime.now(UTC))
    assert audited(sessions) == [
        ("tests", "template.save", "45633", "new"),
        ("tests", "template.save", "45633", "changed: fixed_slots, title"),
        ("tests", "template.save", "45633", "nothing changed"),
        ("tests", "template.delete", "45633", None),
    ]


def test_of_many_templates_all_are_kept_or_none(sessions: Sessions, now: datetime) -> None:
    with pytest.raises(InvalidTemplateError) as caught:
        templates.save(
            sessions,
            {"1": TICKET, "2": {**TICKET, "title": ""}, "x": {**TICKET, "pass_type": "y"}},
            "tests",
            now,
        )
    assert [p.field for p in caught.value.problems] == ["2.title", "mms_id", "x.pass_type"]
    with sessions() as session:
        assert templates.everything(session) == []


def test_templates_are_paged_without_a_gap(sessions: Sessions, now: datetime) -> None:
    made = [str(number) for number in range(1, 8)]
    templates.save(sessions, dict.fromkeys(made, TICKET), "tests", now)
    seen, cursor = [], None
    for _ in range(len(made)):
        with sessions() as session:
            page = templates.page(session, limit=3, after=cursor)
        seen += [row.mms_id for row in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == made
    with sessions() as session:
        assert [row.mms_id for row in templates.everything(session)] == made


def row(mms_id: str, template: Template) -> TemplateRow:
    return TemplateRow(
        mms_id=mms_id,
        title=template.title,
        description=template_words.write(template),
        updated_at=datetime.now(UTC),
        updated_by="tests",
    )


@settings(max_examples=50)
@given(st.dictionaries(st.from_regex(r"[1-9][0-9]{0,17}", fullmatch=True), any_template()))
def test_a_file_written_reads_as_the_same_templates(found: dict[str, Template]) -> None:
    rows = [row(mms_id, template) for mms_id, template in found.items()]
    if rows:
        text = template_files.to_toml(rows)
        read = template_files.from_toml(text)
        assert {mms_id: template_words.read(d) for mms_id, d in read.items()} == found


def test_an_export_imports_as_the_same_rows(
    sessions: Sessions, now: datetime, tmp_path: Path
) -> None:
    describe(sessions)
    describe(sessions, mms_id="39755", title='Käse "1"', has_pass=False)
    with sessions() as session:
        before = templates.everything(session)
    text = template_files.to_toml(before)
    for mms_id in ("45633", "39755"):
        templates.remove(sessions, mms_id, "tests", now)
    templates.save(sessions, template_files.from_toml(text), "tests", now)
    with sessions() as session:
        after = store.by_ids(session, ["45633", "39755"])
    assert {r.mms_id: r.description for r in before} == {
        mms_id: r.description for mms_id, r in after.items()
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"begin each one with \[\[template\]\]"),
        ("[template]\ntitle = 'x'", "begin each one"),
        ("[[template]]\ntitle = 'x'", "template 1: mms_id: is missing"),
        ("[[template]]\nmms_id = 7\n[[template]]\nmms_id = '7'", "template 2: mms_id.*twice"),
        ("colour = 1\n[[template]]\nmms_id = '7'", "colour: is not known here"),
        ("template = [1]", "template 1: must be a table"),
    ],
)
def test_a_file_of_something_else_is_explained(text: str, said: str) -> None:
    with pytest.raises(InvalidTemplateError, match=said):
        template_files.from_toml(text)


@pytest.mark.parametrize("text", ["[[template", "x = " + "[" * 5000, "mms_id = 1\nmms_id = 2"])
def test_what_is_no_toml_is_said_to_be_none(text: str) -> None:
    with pytest.raises(UnreadableFileError):
        template_files.from_toml(text)
