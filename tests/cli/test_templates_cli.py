"""`tracker templates`, and what `tracker send` says by a template."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from test_cli_refusals import Ran

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "templates.toml"
SEND = ("send", "12025550143", "--from", "11111")
Run = Callable[..., Ran]


@pytest.fixture
def run(database_url: str) -> Run:
    def run(*arguments: str | bytes, stdin: bytes = b"") -> Ran:
        return Ran(*arguments, settings={"TRACKER_DATABASE_URL": database_url}, stdin=stdin)

    return run


def test_a_file_is_imported_listed_shown_and_exported_as_the_same(run: Run) -> None:
    done = run("templates", "import", str(EXAMPLE))
    assert (done.code, done.out) == (0, "45633 new\n35674 new\n39755 new\n")
    listed = run("templates", "list").out.splitlines()
    assert [line.split()[:2] for line in listed] == [
        ["35674", "Coupon"],
        ["39755", "Flowers"],
        ["45633", "Event"],
    ]
    shown = json.loads(run("templates", "show", "45633", "--json").out)
    assert (shown["title"], shown["pass_type"]) == ("Event Ticket", "event ticket")
    assert shown["updated_by"].startswith("cli:")
    exported = run("templates", "export").out
    again = run("templates", "import", "-", stdin=exported.encode())
    assert again.out == "35674 replaced\n39755 replaced\n45633 replaced\n"
    assert run("templates", "export").out == exported
    assert "[[template]]" in run("templates", "show", "35674").out
    assert len(run("templates", "list", "--json").out.splitlines()) == 3


def test_a_send_is_checked_by_what_was_imported(run: Run) -> None:
    run("templates", "import", str(EXAMPLE))
    refused = run(*SEND, "--mms-id", "35674", "--pass", "HEADERLABEL1=x")
    assert (refused.code, refused.out) == (1, "")
    assert "pass_data.HEADERLABEL1: is fixed in the template" in refused.err
    assert "E840" in refused.err
    warned = run(*SEND, "--mms-id", "35674", "--pass", "BARCODEVALUE=1")
    assert warned.code == 0
    assert "note: pass_data.BARCODEVALUE 1: is ignored by the gateway" in warned.err
    assert run("templates", "delete", "35674").code == 0
    assert run(*SEND, "--mms-id", "35674", "--pass", "HEADERLABEL1=x").err == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"[[template", "the file is no TOML: "),
        (b"\xff\xfe", "the file is not UTF-8: byte 1"),
        (b"[[template]]\nmms_id = '7'", "title: is missing"),
        (b"[[template]]\nmms_id = '7'\n[[template]]\nmms_id = '8'", "8.title: is missing"),
        (b"x" * (8 * 1024 * 1024 + 1), "larger than 8 MiB"),
    ],
)
def test_a_file_that_cannot_be_kept_is_explained_and_nothing_of_it_is(
    run: Run, text: bytes, said: str
) -> None:
    done = run("templates", "import", "-", stdin=text)
    assert (done.code, done.out) == (1, "")
    assert said in done.err
    empty = run("templates", "export")
    assert (empty.code, empty.out, empty.err) == (0, "", "There are no templates.\n")


@pytest.mark.parametrize("command", ["show", "delete"])
@pytest.mark.parametrize("mms_id", ["4711", "x"])
def test_a_template_that_nobody_described_is_said_to_be_none(
    run: Run, command: str, mms_id: str
) -> None:
    done = run("templates", command, mms_id)
    assert done.code == 1
    assert f"nobody has described the template of MMS id {mms_id}" in done.err
