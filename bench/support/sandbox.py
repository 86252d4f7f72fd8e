"""The sandbox gateway as a process of its own; prints its address, and a line of JSON on request.

Postbacks are due an hour after the call: what is measured here are calls alone.

Usage: python sandbox.py DELAY_SECONDS; each line of standard input is answered with the calls so
far: how many, how many numbers, and the processor time.
"""

import json
import sys
import time

from tracker.sandbox.options import Delays, SandboxOptions
from tracker.sandbox.server import running


def main() -> None:
    """Serve until standard input ends."""
    options = SandboxOptions(
        answer_delay_seconds=float(sys.argv[1]),
        kept_calls=1_000_000,
        kept_postbacks=1,
        delays=Delays(sending=3600),
    )
    with running(options) as sandbox:
        print(sandbox.gateway_url, flush=True)
        for _ in sys.stdin:
            calls = sandbox.accepted
            told = {
                "calls": len(sandbox.calls),
                "numbers": len({call.number for call in calls}),
                "cpu": time.process_time(),
            }
            print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
