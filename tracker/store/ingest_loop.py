"""The quick way of a batch on PostgreSQL without a thread: an event loop waits for the server.

A thread that waits for an answer has to be woken, and to wake the loop again; on a quiet machine
both together cost as much as all else that a single postback takes.
"""

from asyncio import AbstractEventLoop
from collections.abc import Callable, Sequence
from typing import Any, cast

import psycopg
from psycopg.pq.abc import PGresult
from sqlalchemy import Engine

from .db import driver_connection
from .ingest import Done
from .ingest_postgresql import checked, done_of, prepare, send

Rows = Sequence[bytes]
Answer = dict[bytes, Done] | Exception
Answered = Callable[[Answer], None]


def connect(engine: Engine) -> "psycopg.Connection[Any]":
    """Return a connection that is ready for `LoopTeller`; blocks.

    Raises:
        DBAPIError: the database is away.
    """
    with driver_connection(engine) as pooled:
        driver = cast("psycopg.Connection[Any]", pooled.driver_connection)
        prepare(driver.pgconn)
        pooled.detach()  # it is nobody else's from now on
    return driver


class LoopTeller:
    """One connection to the server, used by the loop's thread alone, with one question at a time.

    `lost` is called when the connection breaks while nothing is asked.
    """

    def __init__(
        self,
        loop: AbstractEventLoop,
        connection: "psycopg.Connection[Any]",
        lost: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._connection = connection
        self._server = connection.pgconn
        self._lost = lost
        self._answered: Answered | None = None
        self._results: list[PGresult] = []
        self._is_writing = False
        self._server.nonblocking = 1
        self._socket = self._server.socket
        loop.add_reader(self._socket, self._read)

    def tell(self, rows: Rows, answered: Answered) -> None:
        """Commit the rows that can be done at once; `answered` is called once, never from here.

        No two may have the same tracking key. After an error nothing is known of any of them.

        Raises:
            psycopg.Error: the connection is broken; `answered` is not called.
        """
        send(self._server, rows)
        self._answered = answered
        self._write()

    def close(self) -> None:
        """Close the connection, whatever it is doing; whoever waits for an answer gets none."""
        self._answered = None
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._connection.close()

    def _write(self) -> None:
        """Send what the system takes now; a full batch is more than that."""
        is_writing = bool(self._server.flush())
        if is_writing and not self._is_writing:
            self._loop.add_writer(self._socket, self._go_on_writing)
        elif self._is_writing and not is_writing:
            self._loop.remove_writer(self._socket)
        self._is_writing = is_writing

    def _go_on_writing(self) -> None:
        try:
            self._write()
        except psycopg.Error as error:
            self._finish(error)

    def _read(self) -> None:
        try:
            answer = self._read_on()
        except Exception as error:  # noqa: BLE001  # whoever asked gets it
            answer = error
        if answer is not None:
            self._finish(answer)

    def _read_on(self) -> Answer | None:
        """Take in what is there, and return the answer when it is whole."""
        self._server.consume_input()
        if self._is_writing:
            self._write()
        while not self._server.is_busy():
            result = self._server.get_result()
            if result is None:
                # All of them: an error of the commit comes after the rows.
                results = [checked(one) for one in self._results]
                return done_of(results[0]) if results else None
            self._results.append(result)
        return None

    def _finish(self, answer: Answer) -> None:
        self._results.clear()
        answered, self._answered = self._answered, None
        if answered is not None:
            answered(answer)
        else:
            self._lost()  # an error while nothing was asked
