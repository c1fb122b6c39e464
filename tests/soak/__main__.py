"""Ten thousand requests wait at once in one process, held, behind a firewall that forgets after 5 s.

    python -m soak [--requests 10000] [--minutes 10] [--controls 100]

After so many minutes the server answers. Every held request must be answered whole, every plain one
beside them must be lost, and memory and descriptors must be flat meanwhile. Progress goes to stderr.
"""

from __future__ import annotations

import argparse
import platform
import resource
import sys
import time
from datetime import date

from soak.run import IDLE_TIMEOUT, POLICY, Soak, run


def main() -> int:
    options = _options()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < options.requests + options.controls + 100:
        sys.exit(f"soak: so many requests need as many descriptors: the limit here is {most} (ulimit -Hn)")
    began = time.monotonic()
    soak = run(
        options.requests,
        options.minutes,
        options.controls,
        lambda text: print(f"soak: {time.monotonic() - began:5.0f} s: {text}", file=sys.stderr, flush=True),
    )
    print(table(soak))
    return 1 if soak.complaints() else 0


def table(soak: Soak) -> str:
    """Return the result for people: how the process was while all waited, and what came of the requests."""
    lines = [
        f"{date.today()}, {platform.platform()}, CPython {platform.python_version()}",
        f"{soak.requests} held ({POLICY}) and {soak.controls} plain requests in one process for "
        f"{soak.minutes:g} min behind idle-drop:{IDLE_TIMEOUT}; all waited after {soak.connecting:.1f} s",
        "",
        f"{'waiting for':>12} {'memory':>12} {'descriptors':>12} {'CPU so far':>11}",
    ]
    lines += [
        f"{sample.seconds:10.0f} s {sample.rss / 1024:9.2f} MB {sample.descriptors:12} {sample.cpu:9.2f} s"
        for sample in soak.samples
    ]
    lines += [
        "",
        f"held: {soak.held.get('whole', 0)} of {soak.requests} answered whole, the last "
        f"{soak.answering:.1f} s after the first; plain: {soak.controls - sum(soak.plain.values())} of "
        f"{soak.controls} lost; {soak.arrived} requests at the server",
        *(f"NOT AS IT SHOULD BE: {complaint}" for complaint in soak.complaints()),
    ]
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="soak", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--requests", type=int, default=10_000, help="held ones; default: %(default)s")
    parser.add_argument("--minutes", type=float, default=10, help="that all wait; default: %(default)s")
    parser.add_argument(
        "--controls", type=int, default=100, help="plain ones beside them; default: %(default)s"
    )
    options = parser.parse_args()
    if options.requests < 1 or options.controls < 1 or not options.minutes > 0:
        parser.error("it takes requests, plain ones beside them, and a time")
    return options


if __name__ == "__main__":
    sys.exit(main())
