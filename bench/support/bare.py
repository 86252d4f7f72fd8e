"""A bare client: posts documents with so many calls at once, and keeps nothing of the answers.

Usage: python bare.py URL KEY COUNT CALLS_AT_ONCE FIRST; prints the seconds that it took.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor

from send_messages import document

from tracker.gateway import Accepted, Gateway


def main() -> None:
    """Post, and count the answers."""
    url, key = sys.argv[1:3]
    count, at_once, first = map(int, sys.argv[3:6])
    gateway = Gateway(url, key, 30)
    documents = [document(number, key) for number in range(first, first + count)]
    began = time.monotonic()
    with ThreadPoolExecutor(at_once) as pool:
        answers = list(pool.map(gateway.post, documents))
    seconds = time.monotonic() - began
    if not all(isinstance(answer, Accepted) for answer in answers):
        raise SystemExit(f"not accepted: {answers[:3]}")
    print(seconds)


if __name__ == "__main__":
    main()
