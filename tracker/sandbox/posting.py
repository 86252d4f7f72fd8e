"""One POST on a connection of its own: no proxy, no redirect, no repetition.

Plain `http.client`, since a postback costs ten times as much through a session that is thrown away.
"""

import base64
import http.client
from urllib.parse import SplitResult, unquote, urlsplit

ANSWER_BYTES = 65536  # more of an answer is not read


def post(url: str, body: bytes, content_type: str, seconds: float) -> int:
    """Post a body and return the status of the answer; each wait takes at most `seconds`.

    Raises:
        OSError: there was no answer.
        ValueError: the URL is none.
        http.client.HTTPException: the answer was none, or the URL.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("not an http address")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=seconds)
    try:
        headers = {"Content-Type": content_type, "Connection": "close"} | _credentials(parts)
        target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        connection.request("POST", target, body, headers)
        answer = connection.getresponse()
        answer.read(ANSWER_BYTES)
        return answer.status
    finally:
        connection.close()


def _credentials(parts: SplitResult) -> dict[str, str]:
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": "Basic " + base64.b64encode(pair.encode("utf-8")).decode("ascii")}
