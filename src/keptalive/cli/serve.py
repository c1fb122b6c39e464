"""`keptalive serve`: the far end of a path that you own.

Rule: prints where it listens, and what to run at the near end.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys

from keptalive.cli.argument_types import seconds, whole
from keptalive.cli.exits import Exit
from keptalive.cli.output import escape, print_json
from keptalive.serving import Endpoint, Limits

_HOST, _PORT = "127.0.0.1", 8080
_DEFAULTS = Limits()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--host",
        default=_HOST,
        metavar="ADDRESS",
        help=f"listen at this address (default {_HOST}: this machine alone; 0.0.0.0 or :: for every network)",
    )
    parser.add_argument(
        "--port", type=whole, default=_PORT, help=f"listen at this port; 0 takes a free one (default {_PORT})"
    )
    parser.add_argument(
        "--max-sleep",
        type=seconds,
        default=_DEFAULTS.sleep,
        metavar="SECONDS",
        help=f"the longest N of /sleep/N (default {_DEFAULTS.sleep:g})",
    )
    parser.add_argument(
        "--max-connections",
        type=whole,
        default=_DEFAULTS.connections,
        metavar="N",
        help=f"reset who comes when so many are connected (default {_DEFAULTS.connections})",
    )
    parser.add_argument(
        "--max-life",
        type=seconds,
        default=_DEFAULTS.life,
        metavar="SECONDS",
        help=f"reset a connection after that time, whatever it does (default {_DEFAULTS.life:g})",
    )
    parser.add_argument("--json", action="store_true", help="print where it listens as one JSON object")


def run(args: argparse.Namespace) -> Exit:
    """Serve until interrupted or terminated, which is the normal end."""
    limits = Limits(args.max_sleep, args.max_connections, args.max_life)
    asyncio.run(_serve(args, Endpoint(limits)))
    return Exit.OK


async def _serve(args: argparse.Namespace, endpoint: Endpoint) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    addresses = await endpoint.start(args.host, args.port)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        if args.json:
            print_json({"addresses": addresses})
        else:
            where = ", ".join(map(escape, addresses))
            print(f"Listening at {where}. At the near end of the path: keptalive probe {addresses[0]}")
        sys.stdout.flush()
        await stop.wait()
    finally:
        await endpoint.close()
        if not args.json:
            print(f"Served {endpoint.served} connection{'s' * (endpoint.served != 1)}.")
