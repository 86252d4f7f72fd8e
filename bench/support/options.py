"""The options that benchmarks share, and their types."""

import argparse

from .databases import ENGINES


def positive(text: str) -> int:
    """Read a whole number from 1 on."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return number


def parser_of(document: str | None) -> argparse.ArgumentParser:
    """Return the options of a benchmark on one engine or both."""
    parser = argparse.ArgumentParser(
        description=document, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engine", choices=[*ENGINES, "both"], default="both")
    parser.add_argument("--json", action="store_true")
    return parser
