"""Real processes for tests: `tracker up` in a folder of its own, on free ports."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TRACKER = str(Path(sys.executable).with_name("tracker"))
START_SECONDS = 40


@dataclass(frozen=True)
class Up:
    """A running `tracker up`."""

    folder: Path
    port: int
    sandbox_port: int
    process: "subprocess.Popen[bytes]"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def said(self) -> str:
        return (self.folder / "up.log").read_text()

    @property
    def password(self) -> str:
        """The password of `admin`, as the first start prints it."""
        found = re.search(r"admin with the password (\S+)", self.said)
        assert found, self.said
        return found[1]

    def run(self, *arguments: str) -> str:
        """Run a command in the same folder and return what it printed; it must succeed."""
        done = subprocess.run(
            [TRACKER, *arguments],
            cwd=self.folder, capture_output=True, text=True, timeout=90, check=False,
            env=self.environ,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    environ: dict[str, str] | None = None


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@contextmanager
def up(folder: Path, *arguments: str, **settings: str) -> Iterator[Up]:
    """Run `tracker up` while the block runs; stop it as Ctrl-C does."""
    web, sandbox = free_port(), free_port()
    environ = {**os.environ, **settings}
    command = [TRACKER, "up", "--port", str(web), "--sandbox-port", str(sandbox), *arguments]
    with (folder / "up.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environ)
    started = Up(folder, web, sandbox, process, environ)
    try:
        deadline = time.monotonic() + START_SECONDS
        while "Dashboard" not in started.said:
            assert process.poll() is None, started.said
            assert time.monotonic() < deadline, started.said
            time.sleep(0.05)
        yield started
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
