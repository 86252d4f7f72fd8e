"""The quick way of a batch on PostgreSQL: one statement that matches, folds and writes.

It takes events of which nothing odd can be said beforehand, and does those of them whose message
is there, alone with its tracking id, whose number agrees, and which are new; the others are left to
the general way. What it reads it has locked: a row's version cannot change until the commit.

The fold is the one of `domain.fold`, written in SQL out of the same tables; a property test holds
the two equal.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, cast

import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import DiagnosticField, ExecStatus
from psycopg.pq.abc import PGconn, PGresult
from sqlalchemy import Engine

from tracker.domain.fold import (
    DISCOVERY_FAILED,
    DISCOVERY_RANK,
    FACTS,
    RANK,
    TIE,
    Outcome,
    Reason,
)
from tracker.domain.status import FAILURES, LABELS

from .bulk import row_without_types, type_of
from .db import driver_connection
from .ingest import BODY, EVENT, Done
from .models import Message, Postback

_NAME: Final = b"tell"  # of the prepared statement
_NO_SUCH_STATEMENT: Final = b"26000"
_KNOWN_STATEMENT: Final = b"42P05"
BROUGHT: Final = (*FACTS, "sender_used")
_OWN: Final = {
    "digest": "bytea", "content_type": "text", "headers": "text", "body": "bytea",
    "recipient": "text", "mms_id": "text", "told": "text", "told_rank": "int", "label": "text",
    "is_failure": "bool", "is_final": "bool", "tie": "int", "ddm": "text", "ddm_rank": "int",
    "noted": "text", "os_of_handset": "text", "now": "timestamptz",
}  # fmt: skip


def tell(engine: Engine, events: Sequence[Mapping[str, Any]]) -> dict[bytes, Done]:
    """Commit the events that can be done at once, and return what they did by fingerprint.

    No two may have the same tracking key.
    """
    # libpq itself: the driver's cursor and the engine's connection would cost as much as the rest.
    with driver_connection(engine) as pooled:
        driver = cast("psycopg.Connection[Any]", pooled.driver_connection)
        return done_of(
            _run(driver.pgconn, _argument([row_without_types(event) for event in events]))
        )


def prepare(server: PGconn) -> None:
    """Make the statement known to a connection, if it is not."""
    result = server.prepare(_NAME, _statement().encode())
    if result.error_field(DiagnosticField.SQLSTATE) != _KNOWN_STATEMENT:
        checked(result)


def send(server: PGconn, rows: Sequence[bytes]) -> None:
    """Ask a connection that knows the statement, and do not wait."""
    server.send_query_prepared(_NAME, [_argument(rows)])


def checked(result: PGresult) -> PGresult:
    """Return a result that is none of an error.

    Raises:
        psycopg.Error: the server's.
    """
    if result.status not in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
        raise error_from_result(result)
    return result


def done_of(result: PGresult) -> dict[bytes, Done]:
    """Return what the events did, by fingerprint."""

    def text_at(row: int, column: int) -> str:
        return (result.get_value(row, column) or b"").decode()

    return {
        bytes.fromhex(text_at(row, 0)[2:]): Done(
            int(text_at(row, 1)), Outcome(text_at(row, 2)), text_at(row, 3)
        )
        for row in range(result.ntuples)
    }


def _argument(rows: Sequence[bytes]) -> bytes:
    return b"[" + b",".join(rows) + b"]"


def _run(server: PGconn, argument: bytes) -> PGresult:
    result = server.exec_prepared(_NAME, [argument])
    # Not prepared yet, or the driver has cleared all statements, as it does after a rollback.
    if result.error_field(DiagnosticField.SQLSTATE) == _NO_SUCH_STATEMENT:
        prepare(server)
        result = server.exec_prepared(_NAME, [argument])
    return checked(result)


@cache
def _statement() -> str:
    return f"""
WITH new AS MATERIALIZED (
    SELECT * FROM json_to_recordset($1::json) AS rows ({_definitions()})
), old AS MATERIALIZED (
    SELECT new.*, m.id AS message_id, m.recipient AS number, m.mms_id AS mms_id_asked,
           m.created_at, m.status,
           m.told_at, m.ddm_status, m.sent_at, m.finished_at,
           {", ".join(f"m.{name} AS old_{name}" for name in BROUGHT)}
    FROM new JOIN messages AS m USING (tracking_key)
    WHERE (new.recipient IS NULL OR new.recipient = m.recipient) AND NOT EXISTS (
        SELECT FROM messages AS other WHERE other.tracking_key = m.tracking_key AND other.id <> m.id
    )
    ORDER BY m.id DESC
    FOR UPDATE OF m
), judged AS MATERIALIZED (
    SELECT old.*, {_wins()} AS wins FROM old
), bodies AS (
    INSERT INTO postback_bodies ({", ".join(BODY)})
    SELECT {", ".join(BODY)} FROM judged
    ON CONFLICT (digest) DO UPDATE SET digest = excluded.digest
    RETURNING id, digest
), written AS (
    INSERT INTO postbacks ({", ".join(EVENT)}, body_id, last_received_at, judged_at, repeats,
                           message_id, outcome, outcome_reason)
    SELECT {", ".join(f"judged.{name}" for name in EVENT)}, bodies.id, received_at,
           clock_timestamp(), 0, message_id, {_outcome()}, left({_reason()}, 1000)
    FROM judged JOIN bodies USING (digest)
    ON CONFLICT (fingerprint) DO NOTHING
    RETURNING id, fingerprint, outcome, outcome_reason
), fresh AS (
    SELECT judged.* FROM judged JOIN written USING (fingerprint)
), told AS (
    UPDATE messages AS m SET {_assignments()} FROM fresh AS j WHERE m.id = j.message_id
), named AS (
    INSERT INTO handsets (number, handset, os, source, seen_at)
    SELECT DISTINCT ON (number) number, handset, os_of_handset, code, received_at
    FROM fresh WHERE handset IS NOT NULL ORDER BY number, received_at DESC
    ON CONFLICT (number) DO UPDATE
    SET handset = excluded.handset, os = excluded.os, source = excluded.source,
        seen_at = excluded.seen_at
    WHERE handsets.seen_at <= excluded.seen_at
), marked AS (
    INSERT INTO rollup_marks (hour) SELECT DISTINCT date_trunc('hour', created_at, 'UTC') FROM fresh
)
SELECT fingerprint, id, outcome, outcome_reason FROM written
"""  # noqa: S608  # nothing but our own tables' words


def _definitions() -> str:
    types = {name: type_of(Postback, name) for name in EVENT}
    types |= {name: type_of(Message, name) for name in BROUGHT}
    return ", ".join(f"{name} {sql}" for name, sql in (types | _OWN).items())


def _wins() -> str:
    """Say in SQL whether the new word is the stronger one."""
    failures = _words(FAILURES)
    ties = _case("status", {status: number for number, status in enumerate(TIE)}, "0")
    return f"""
        CASE WHEN told IS NULL THEN false
        WHEN is_failure AND status IN ({failures}) THEN
            (coalesce(occurred_at, '-infinity'), CASE WHEN occurred_at IS NULL THEN 0 ELSE tie END)
            >= (coalesce(told_at, '-infinity'), CASE WHEN told_at IS NULL THEN 0 ELSE {ties} END)
        ELSE told_rank >= {_case("status", RANK, "-1")} END"""


def _outcome() -> str:
    words = (Outcome.NOTED, Outcome.APPLIED, Outcome.OUTRANKED)
    noted, applied, outranked = (f"'{word}'" for word in words)
    return f"CASE WHEN told IS NULL THEN {noted} WHEN wins THEN {applied} ELSE {outranked} END"


def _reason() -> str:
    """Say in SQL why, in the very sentences of the fold."""
    sentences = {reason: _sentence(reason) for reason in Reason}
    return f"""
        CASE WHEN told IS NULL THEN noted
        WHEN wins AND told = status THEN {sentences[Reason.CONFIRMED]}
        WHEN wins THEN {sentences[Reason.SET]}
        WHEN is_failure AND status = 'delivered' THEN {sentences[Reason.TOO_LATE]}
        WHEN is_failure THEN {sentences[Reason.LATER_WORD]}
        ELSE {sentences[Reason.KNOWN]} END
        || CASE WHEN mms_id <> mms_id_asked
           THEN ' It names MMS id ' || left(mms_id, 32) || ', not ' || mms_id_asked || '.'
           ELSE '' END"""


def _sentence(reason: Reason) -> str:
    before = _case("status", {status: f"'{label}'" for status, label in LABELS.items()}, "''")
    literal = reason.value.replace("'", "''")
    return f"replace(replace('{literal}', '{{told}}', label), '{{before}}', {before})"


def _assignments() -> str:
    """Say in SQL what the message becomes; `j` is the judged event with the message as it was."""
    values = {
        "updated_at": "j.now",
        "status": "CASE WHEN j.wins THEN j.told ELSE j.status END",
        "told_at": "CASE WHEN j.wins AND j.told = j.status THEN greatest(j.told_at, j.occurred_at)"
        " WHEN j.wins THEN j.occurred_at ELSE j.told_at END",
        "finished_at": "CASE WHEN j.wins AND j.told <> j.status AND j.is_final THEN j.received_at"
        " ELSE j.finished_at END",
        "sent_at": "CASE WHEN j.told = 'sent' THEN coalesce(j.sent_at, j.received_at)"
        " ELSE j.sent_at END",
        "ddm_status": f"CASE WHEN j.ddm_rank >= {_discovery_rank()} THEN j.ddm"
        " ELSE j.ddm_status END",
    }
    for name in BROUGHT:
        stronger = f"j.{name} IS NOT NULL AND (j.wins OR j.old_{name} IS NULL)"
        values[name] = f"CASE WHEN {stronger} THEN j.{name} ELSE j.old_{name} END"
    return ", ".join(f"{name} = {value}" for name, value in values.items())


def _discovery_rank() -> str:
    ranks = {state: rank for state, rank in DISCOVERY_RANK.items() if state is not None}
    known = _case("j.ddm_status", ranks, str(DISCOVERY_FAILED))
    return f"CASE WHEN j.ddm_status IS NULL THEN {DISCOVERY_RANK[None]} ELSE {known} END"


def _case(column: str, values: Mapping[Any, object], otherwise: str) -> str:
    whens = " ".join(f"WHEN '{key}' THEN {value}" for key, value in values.items())
    return f"CASE {column} {whens} ELSE {otherwise} END"


def _words(words: frozenset[Any]) -> str:
    return ", ".join(f"'{word}'" for word in sorted(words))
