"""Clients of the gateway as companies have them, and a gateway that shows what reached it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import parse_qs
from wsgiref.types import WSGIApplication

import requests
from builders import NUMBER
from werkzeug.serving import WSGIRequestHandler, make_server

from tracker.protocol.response import GatewayResponse, parse_response
from tracker.protocol.transport import document_of

PATH: Final = "/gateway/1.3/index.php"
PATIENCE: Final = 20.0
TAKEN: Final = (
    b"<?xml version='1.0'?>\n<RESPONSE><STATUS>Success</STATUS><MMSID>45633</MMSID>"
    b"<TRACKINGID>TU1TXzEyMzQ2</TRACKINGID><TO>12025550143</TO><FROM>11111</FROM></RESPONSE>"
)


def a_document(key: str, inner: str = "", **changes: str | None) -> str:
    """Return a call as a company's own code pastes it together: nothing is escaped."""
    texts: dict[str, str | None] = {
        "ACTION": "sendPassInMMS",
        "API_KEY": key,
        "MMSID": "45633",
        "TO": NUMBER,
        "FROM": "11111",
        "PASSDATA": "<BARCODEVALUE>A-17</BARCODEVALUE>",
    }
    texts.update({name.rstrip("_"): text for name, text in changes.items()})
    elements = "".join(f"<{n}>{text}</{n}>" for n, text in texts.items() if text is not None)
    return f"<REQUEST>{elements}{inner}</REQUEST>"


def a_query(key: str, **changes: str | None) -> dict[str, str]:
    """Return a call in the GET form."""
    pairs: dict[str, str | None] = {
        "action": "sendpassinmms",
        "api_key": key,
        "mmsid": "45633",
        "to": NUMBER,
        "from": "11111",
        "pd_barcodevalue": "A-17",
    }
    pairs.update({name.rstrip("_"): text for name, text in changes.items()})
    return {name: text for name, text in pairs.items() if text is not None}


Client = Callable[[str, str], requests.Response]


def php_sdk(url: str, document: str) -> requests.Response:
    """Post as the gateway's own PHP SDK does: an array for cURL, which makes it multipart."""
    return requests.post(url, files={"XML": (None, document)}, timeout=PATIENCE)


def ruby(url: str, document: str) -> requests.Response:
    """Post the bare document under the label that the HTTP library gives it."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return requests.post(url, data=document.encode(), headers=headers, timeout=PATIENCE)


def form(url: str, document: str) -> requests.Response:
    """Post the documented form field."""
    return requests.post(url, data={"xml": document}, timeout=PATIENCE)


def bare(url: str, document: str) -> requests.Response:
    """Post as the later documents say."""
    headers = {"Content-Type": "text/xml; charset=utf-8"}
    return requests.post(url, data=document.encode(), headers=headers, timeout=PATIENCE)


def mixed_case_form(url: str, document: str) -> requests.Response:
    return requests.post(url, data={"other": "x", "xMl": document}, timeout=PATIENCE)


def no_type(url: str, document: str) -> requests.Response:
    return requests.post(url, data=document.encode(), timeout=PATIENCE)


def chunked(url: str, document: str) -> requests.Response:
    pieces = iter([document[:20].encode(), document[20:].encode()])
    return requests.post(url, data=pieces, timeout=PATIENCE)


def wide(url: str, document: str) -> requests.Response:
    """Post in UTF-16, with its mark."""
    return requests.post(url, data=document.encode("utf-16"), timeout=PATIENCE)


CLIENTS: Final = (php_sdk, ruby, form, bare, mixed_case_form, no_type, chunked, wide)


def by_get(url: str, query: dict[str, str]) -> requests.Response:
    return requests.get(url, params=query, timeout=PATIENCE)


def said(response: requests.Response) -> GatewayResponse:
    """Read an answer, which has HTTP status 200 whatever it says."""
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"].startswith("text/xml")
    return parse_response(response.text)


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, *_args: object) -> None:
        pass


@contextmanager
def serving(app: WSGIApplication) -> Iterator[str]:
    """Serve an application over HTTP while the block runs; gives the drop-in's address."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}{PATH}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Wire:
    """A gateway that keeps what it gets and answers always the same."""

    answer: bytes = TAKEN
    status: int = 200
    on_call: Callable[[], object] = lambda: None
    url: str = ""
    documents: list[str] = field(default_factory=list)


@contextmanager
def wired(wire: Wire) -> Iterator[Wire]:
    """Serve a gateway of which every byte is known."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            wire.documents.append(document_of(body, self.headers["Content-Type"]).text)
            assert list(parse_qs(body.decode())) == ["xml"]
            wire.on_call()
            self.send_response(wire.status)
            self.send_header("Content-Length", str(len(wire.answer)))
            self.end_headers()
            self.wfile.write(wire.answer)

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    wire.url = f"http://127.0.0.1:{server.server_address[1]}/"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield wire
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
