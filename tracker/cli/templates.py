"""`tracker templates`: what operators say of the passes behind stored MMS."""

from collections.abc import Sequence
from typing import BinaryIO

import click

from tracker.config import Settings
from tracker.domain.message import Problem
from tracker.domain.template_words import InvalidTemplateError
from tracker.services import template_files, templates
from tracker.services.template_files import MAX_FILE_BYTES, UnreadableFileError
from tracker.store import templates as store

from .accounts import as_json
from .common import RefusedError, actor, now, opened, plain, print_json, talk


@click.group("templates")
def group() -> None:
    """Pass templates, by which sends are checked before the gateway is asked."""


@group.command("import")
@click.argument("file", type=click.File("rb"))
def import_file(file: BinaryIO) -> None:
    """Keep the templates of a TOML FILE (`-` for stdin), all of them or none.

    Those that are there are replaced; those that FILE does not name stay as they are.
    """
    sessions = opened(Settings.from_environ())
    body = file.read(MAX_FILE_BYTES + 1)
    if len(body) > MAX_FILE_BYTES:
        raise RefusedError(f"the file is larger than {MAX_FILE_BYTES // 1024 // 1024} MiB")
    try:
        described = template_files.from_toml(body.decode())
        saved = templates.save(sessions, described, actor=actor(), now=now())
    except UnicodeDecodeError as error:
        raise RefusedError(f"the file is not UTF-8: byte {error.start + 1}") from error
    except UnreadableFileError as error:
        raise RefusedError(f"the file is no TOML: {error}") from error
    except InvalidTemplateError as error:
        raise RefusedError(_lines(error.problems)) from error
    for mms_id, is_new in saved.items():
        click.echo(f"{mms_id} {'new' if is_new else 'replaced'}")


@group.command()
def export() -> None:
    """Print all templates as TOML, as `import` takes them."""
    sessions = opened(Settings.from_environ())
    with sessions() as session:
        rows = templates.everything(session)
    click.echo(template_files.to_toml(rows) if rows else "", nl=False)
    if not rows:
        talk("There are no templates.")


@group.command("list")
@as_json
def list_templates(*, as_json: bool) -> None:
    """List the templates."""
    sessions = opened(Settings.from_environ())
    with sessions() as session:
        rows = templates.everything(session)
    for row in rows:
        if as_json:
            print_json(templates.template_answer(row))
        else:
            kind = row.description.get("pass_type") or "no pass"
            changed = f"{row.updated_at:%Y-%m-%d %H:%M} UTC by {plain(row.updated_by)}"
            click.echo(f"{row.mms_id:>18}  {plain(row.title):<32} {kind:<14} {changed}")


@group.command()
@click.argument("mms_id", metavar="MMSID")
@as_json
def show(mms_id: str, *, as_json: bool) -> None:
    """Show the template of the stored MMS with the id MMSID, as TOML or JSON."""
    sessions = opened(Settings.from_environ())
    with sessions() as session:
        row = store.by_id(session, mms_id) if templates.is_mms_id(mms_id) else None
    if row is None:
        raise RefusedError(f"nobody has described the template of MMS id {plain(mms_id)[:40]}")
    if as_json:
        print_json(templates.template_answer(row))
    else:
        click.echo(template_files.to_toml([row]), nl=False)


@group.command()
@click.argument("mms_id", metavar="MMSID")
def delete(mms_id: str) -> None:
    """Forget the template of MMSID; nothing is checked by it any more."""
    sessions = opened(Settings.from_environ())
    is_known = templates.is_mms_id(mms_id)
    if not (is_known and templates.remove(sessions, mms_id, actor(), now())):
        raise RefusedError(f"nobody has described the template of MMS id {plain(mms_id)[:40]}")
    talk(f"Forgotten: the template of MMS id {mms_id}.")


def _lines(problems: Sequence[Problem]) -> str:
    lines = (f"{plain(p.field)}: {p.detail}{_given(p.value)}" for p in problems)
    return "nothing was kept\n" + "\n".join(f"  {line}" for line in lines)


def _given(value: object) -> str:
    return "" if value is None else f" (given: {str(value)[:60]!r})"
