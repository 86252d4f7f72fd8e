"""`tracker demo`: a week of invented traffic in an empty database, to look at."""

from datetime import UTC, datetime

import click
from sqlalchemy import make_url

from tracker.config import Settings, sqlite_path
from tracker.services.demo import Demo, NotEmptyError
from tracker.services.demo_plan import Plan

from .common import RefusedError, actor, now, opened, talk
from .database import ready
from .progress import Shown


class Moment(click.ParamType[datetime]):
    """A time with its zone, as ISO 8601 writes it; without one it is UTC."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Return the time in UTC."""
        if isinstance(value, datetime):
            return value
        try:
            found = datetime.fromisoformat(str(value))
            return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a time such as 2026-11-26T14:30:00Z", param, ctx)


@click.command()
@click.option(
    "--messages", type=click.IntRange(50, 5_000_000), default=5_000, show_default=True,
    help="About how many.",
)  # fmt: skip
@click.option(
    "--until",
    type=Moment(),
    help="When the week ends, such as 2026-11-26T14:30, in UTC where no zone is given; now.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Another one, other traffic.")
def demo(*, messages: int, until: datetime | None, seed: int) -> None:
    """Fill an empty database with a week of invented traffic, to look at.

    A SQLite file that is not there yet is made. The same --messages, --until and --seed give the
    same traffic. Nothing of it is sent: what is still queued at the end belongs to a batch that is
    paused.
    """
    settings = Settings.from_environ()
    path = sqlite_path(make_url(settings.database_url))
    # A file is made where there is none; one that is there is not touched before it is known empty.
    sessions = ready(settings) if path and not path.exists() else opened(settings)
    plan = Plan(messages, until or now(), settings.gateway_zone, seed)
    work = Demo(sessions, plan, messages=messages, zone=settings.gateway_zone, actor=actor())
    try:
        with Shown() as shown:
            for progress in work.steps():
                shown.show(progress)
    except NotEmptyError as error:
        raise RefusedError(
            f"{error}: invented messages must not mix with real ones;"
            " name an empty database in TRACKER_DATABASE_URL and run `tracker db upgrade`"
        ) from error
    except KeyboardInterrupt:
        raise RefusedError(
            f"interrupted: the database has {work.queued:,} messages of an unfinished week, all"
            " invented; look around in it as it is, or begin again in an empty one"
        ) from None
    made = f"{work.queued:,} messages and {work.posted:,} postbacks, all invented"
    talk(f"{made}, until {plan.until:%Y-%m-%d %H:%M} UTC.")
