"""The load: posts postbacks at a fixed rate, whatever the server does, and keeps the ledger.

Every other request goes over a connection that is kept. None is sent twice before `finish`, so
that nothing which is lost can be mended unseen.
"""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from .ledger import KEPT, Ledger
from .postbacks import postback

PATIENCE_SECONDS = 15.0
IDLE_SECONDS = 2.0  # the server closes after five
MOST_UNDER_WAY = 900  # the server has room for a thousand clients
AT_ONCE = 32
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Client:
    """Posts on one event loop, with the connections that it has kept."""

    def __init__(self, port: int, path: str, ledger: Ledger) -> None:
        self.port = port
        self.path = path
        self.ledger = ledger
        self._kept: list[tuple[Stream, float]] = []  # since when

    async def post(self, number: int, *, keep: bool = False) -> str:
        """Post what a number stands for, and write down the answer."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                answer = await self._post(number, keep=keep)
        except TimeoutError:
            answer = "late"
        self.ledger.note(number, answer, time.monotonic() - began)
        return answer

    def close(self) -> None:
        """Let go of the kept connections."""
        for (_, writer), _ in self._kept:
            writer.close()

    async def _post(self, number: int, *, keep: bool) -> str:
        kept = self._idle() if keep else None
        try:
            stream = kept or await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return "refused"
        is_reusable = False
        try:
            answer, is_reusable = await self._exchange(stream, number, keep=keep)
        except (OSError, asyncio.IncompleteReadError):
            return "closed" if kept else "lost"
        else:
            return answer
        finally:
            if is_reusable:
                self._kept.append((stream, time.monotonic()))
            else:
                stream[1].close()

    def _idle(self) -> Stream | None:
        """Return a kept connection; one that has idled for long may be closed any moment."""
        while self._kept:
            stream, since = self._kept.pop()
            if time.monotonic() - since < IDLE_SECONDS and not stream[0].at_eof():
                return stream
            stream[1].close()
        return None

    async def _exchange(self, stream: Stream, number: int, *, keep: bool) -> tuple[str, bool]:
        reader, writer = stream
        posted = postback(number)
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Content-Type: {posted.content_type}\r\nContent-Length: {len(posted.body)}\r\n"
            f"Connection: {'keep-alive' if keep else 'close'}\r\n\r\n"
        )
        writer.write(head.encode() + posted.body)
        await writer.drain()
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = lines.partition("content-length:")[2].split(None, 1)[0]
        await reader.readexactly(int(length))
        return lines.split(" ", 2)[1], keep and "connection: close" not in lines


class Load(threading.Thread):
    """Posts new postbacks at a fixed rate until it is stopped, and waits for the last answers."""

    def __init__(self, client: Client, rate: float) -> None:
        super().__init__(name="load", daemon=True)
        self._client = client
        self._rate = rate
        self._stop_asked = threading.Event()

    def stop(self) -> None:
        """Post nothing more, and wait for the answers."""
        self._stop_asked.set()
        self.join()

    def run(self) -> None:
        """Post, on a loop of its own."""
        asyncio.run(self._run())

    async def _run(self) -> None:
        due, under_way = time.monotonic(), set()
        ledger = self._client.ledger
        while not self._stop_asked.is_set():
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due = max(due + 1 / self._rate, time.monotonic() - 1)  # a second late is made up for
            if len(under_way) < MOST_UNDER_WAY:
                number = ledger.open()
                task = asyncio.create_task(self._client.post(number, keep=number % 2 == 0))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
        await asyncio.gather(*under_way)
        self._client.close()


@contextmanager
def running(port: int, path: str, ledger: Ledger, rate: float) -> Iterator[None]:
    """Post while the block runs."""
    load = Load(Client(port, path, ledger), rate)
    load.start()
    try:
        yield
    finally:
        load.stop()


def finish(port: int, path: str, ledger: Ledger) -> None:
    """Post again what was not answered with 200, as the gateway does, until all of it is."""

    async def post_all() -> None:
        client = Client(port, path, ledger)
        waiting = asyncio.Queue[int]()
        for number in sorted(set(ledger.numbers) - ledger.kept()):
            waiting.put_nowait(number)

        async def work() -> None:
            with suppress(asyncio.QueueEmpty):
                while True:
                    number = waiting.get_nowait()
                    if await client.post(number) != KEPT:
                        waiting.put_nowait(number)
                        await asyncio.sleep(0.2)

        async with asyncio.timeout(60):
            await asyncio.gather(*(work() for _ in range(AT_ONCE)))

    asyncio.run(post_all())


def together(port: int, path: str, ledger: Ledger, times: int) -> int:
    """Post one and the same body many times at once, and return its number."""
    number = ledger.open()

    async def post_all() -> None:
        client = Client(port, path, ledger)
        await asyncio.gather(*(client.post(number) for _ in range(times)))

    asyncio.run(post_all())
    return number
