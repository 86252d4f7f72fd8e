"""The pictures of the README can be taken anew."""

import subprocess
import sys
from pathlib import Path

TAKE = Path(__file__).parents[2] / "docs" / "screenshots" / "take.py"
PNG = b"\x89PNG\r\n\x1a\n"


def test_every_picture_is_taken(chromium: str, tmp_path: Path) -> None:
    command = [sys.executable, str(TAKE), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    taken = {path.name for path in tmp_path.iterdir()}
    assert taken == {path.name for path in TAKE.parent.glob("*.png")}
    assert all(path.read_bytes().startswith(PNG) for path in tmp_path.iterdir())
