"""`--scenario FILE.toml`: read and checked before anything starts."""

from dataclasses import dataclass
from pathlib import Path

import click

from tracker.sandbox.options import SandboxOptions
from tracker.sandbox.scenario import MAX_BYTES, ScenarioError, read_scenario


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario and the file it came from."""

    path: Path
    options: SandboxOptions

    @property
    def arguments(self) -> tuple[str, str]:
        """Return what hands it on to another process."""
        return "--scenario", str(self.path)


def _read(
    _context: click.Context, _parameter: click.Parameter, path: Path | None
) -> Scenario | None:
    if path is None:
        return None
    if path.stat().st_size > MAX_BYTES:
        raise click.BadParameter(f"{path} has more than {MAX_BYTES} bytes")
    try:
        text = path.read_text(encoding="utf-8")
        return Scenario(path.absolute(), read_scenario(text))
    except UnicodeDecodeError as error:
        raise click.BadParameter(f"{path} is not UTF-8 (byte {error.start})") from error
    except ScenarioError as error:
        raise click.BadParameter(f"{path}: {error}") from error


scenario_option = click.option(
    "--scenario",
    type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
    callback=_read,
    help="What the sandbox does to which call, in TOML; docs/examples/ shows every key.",
)
