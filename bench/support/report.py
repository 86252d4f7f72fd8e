"""What is printed: one table an engine, or everything as JSON."""

import json
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from .figures import TARGETS, Figure

ENGINE_NAMES = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}


@dataclass(frozen=True, slots=True)
class Result:
    """Everything measured on one engine."""

    engine: str
    version: str
    messages: int
    postbacks: int
    figures: list[Figure]
    others: dict[str, int]  # answers that were not 200; status 0 is none at all
    costs: list[float]  # processor seconds of the load for a request on a new connection, by round

    @property
    def generator_microseconds(self) -> float:
        """What the load itself takes for a request when it is busy; it wakes up less often then."""
        return 1e6 * min(self.costs, default=float("nan"))


def machine() -> str:
    """Describe what it was measured on."""
    gunicorn, python = version("gunicorn"), platform.python_version()
    return f"{psutil.cpu_count()} processors ({_model()}), Python {python}, gunicorn {gunicorn}"


def as_text(result: Result) -> str:
    """Return the table of one engine in Markdown."""
    cost = result.generator_microseconds
    engine = f"{ENGINE_NAMES[result.engine]} {result.version}"
    lines = [
        f"{engine}, {result.messages:,} messages; {result.postbacks:,} postbacks sent and counted.",
        f"Load: {cost:.0f} µs of a processor a request, {1e6 / cost:,.0f}/s at the most.",
        "",
        "| figure | measured | rounds | must | aim | from |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    if result.others:
        lines.insert(2, f"Not answered with 200: {result.others}.")
    return "\n".join([*lines, *(_line(result.engine, figure) for figure in result.figures)])


def as_json(result: Result) -> dict[str, Any]:
    """Return the same for programs."""
    return {
        "version": result.version,
        "messages": result.messages,
        "postbacks": result.postbacks,
        "others": result.others,
        "generator_microseconds": result.generator_microseconds,
        "figures": {
            f.name: {
                "value": f.value,
                "rounds": f.spread,
                "must": TARGETS[f.name].must.get(result.engine),
                "aim": TARGETS[f.name].aim.get(result.engine),
                "detail": f.detail,
            }
            for f in result.figures
        },
    }


def _line(engine: str, figure: Figure) -> str:
    target = TARGETS[figure.name]
    if figure.value is None:
        return f"| {target.title} | not measured: {figure.detail} | | | | |"

    def written(value: float) -> str:
        styles = {"ratio": f"{value:.2f}", "ms": f"{value:.1f} ms", "percent": f"{value:.0%}"}
        return styles[target.written]

    rounds = " to ".join(map(written, figure.spread)) if figure.spread else ""
    must, aim = target.must[engine], target.aim[engine]
    verdict = _verdict(figure.value, must, aim, is_less_better=target.is_less_better)
    return (
        f"| {target.title} | **{written(figure.value)}**{verdict} | {rounds}"
        f" | {written(must)} | {written(aim)} | {figure.detail} |"
    )


def _verdict(value: float, must: float, aim: float, *, is_less_better: bool) -> str:
    sign = -1 if is_less_better else 1
    if sign * value < sign * must:
        return " (must not met)"
    return " (aim met)" if sign * value >= sign * aim else ""


def _model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def finish(results: dict[str, Any], *, as_json: bool) -> None:
    """Print the machine, as JSON together with what was measured by engine."""
    if as_json:
        json.dump({"machine": machine(), "engines": results}, sys.stdout, indent=2)
        print()
    else:
        print(f"\n{machine()}")
