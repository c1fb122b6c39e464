"""`keptalive diagnose`: what kills this request, and does keepalive help?

Rule: prints what `diagnosis.session` found; the numbers of the text and of the JSON are the same.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import textwrap
from pathlib import Path

from keptalive.cli.argument_types import number, seconds, whole
from keptalive.cli.diagnose_watch import watch
from keptalive.cli.exits import Exit
from keptalive.cli.output import escape, limit, print_json, wrapped
from keptalive.cli.report_file import add_report_option, report_to
from keptalive.diagnosis.evidence import Timers
from keptalive.diagnosis.particulars import unanswered
from keptalive.diagnosis.remedies import MEANINGS
from keptalive.diagnosis.request import parse_header
from keptalive.diagnosis.result import Diagnosis
from keptalive.diagnosis.session import CONNECTIONS, EAGER, NO_PROXY, RATE, TIMEOUT, Session
from keptalive.diagnosis.snippets import as_python
from keptalive.errors import BadInput

_EPILOG = """\
It sends the same request over two connections at once, one plain, one held by
keepalive, and asks what still waits in the end whether it is alive. Meanwhile
it measures the path's idle timeout. Secrets of the request (headers' values,
user names, query, body) are in no output.

Exit codes: 0 nothing is lost; 1 it found what kills the request; 5 it could
not be told, or no answer came in the time given.
"""
_EXITS = {"fine": Exit.OK, "problem": Exit.PROBLEM, "unknown": Exit.UNKNOWN}
_WIDTH = 100  # columns of text, where no terminal is narrower
_HELPS = {True: "yes", False: "no", None: "not told"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = _EPILOG
    parser.add_argument("url", metavar="URL", help="what to request")
    request = parser.add_argument_group("the request")
    request.add_argument("-X", "--method", help="default: GET, with --data POST")
    request.add_argument(
        "-H",
        "--header",
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="send this header; @FILE reads a line a header, and keeps secrets out of the command line",
    )
    request.add_argument("-d", "--data", metavar="DATA", help="send this body; @FILE reads it, @- from stdin")
    request.add_argument(
        "--twice", action="store_true", help="send it plain as well, though it is neither GET nor HEAD"
    )
    request.add_argument(
        "--timeout", type=seconds, default=TIMEOUT, metavar="SECONDS", help=f"default {TIMEOUT:g}"
    )
    request.add_argument(
        "--proxy",
        metavar="URL",
        help=f"go through this HTTP proxy; '{NO_PROXY}' ignores the environment's (http_proxy, https_proxy)",
    )
    request.add_argument("--insecure", action="store_true", help="trust any certificate")
    request.add_argument("--cacert", metavar="FILE", help="trust the certificates of this file")
    request.add_argument("-o", "--output", metavar="FILE", help="keep the answer's body, if one comes")
    parser.add_argument(
        "--policy",
        metavar="POLICY",
        help=f"hold with IDLE:INTERVAL:COUNT in seconds, or a preset's (default {EAGER}: eager, to prove "
        f"whether keepalive can help at all)",
    )
    parser.add_argument(
        "--connections",
        type=whole,
        default=CONNECTIONS,
        metavar="N",
        help=f"idle connections for the measurement meanwhile, 0 for none (default {CONNECTIONS})",
    )
    parser.add_argument(
        "--rate",
        type=number,
        default=RATE,
        metavar="N",
        help=f"open so many of them a second, 0 for no limit (default {RATE:g})",
    )
    add_report_option(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> Exit:
    """Diagnose, print, and write the report; interrupted, of what is known so far."""
    with report_to(args.report) as write:
        diagnosis = _diagnose(args)
        if args.json:
            print_json(diagnosis.row())
        else:
            print("\n".join(as_text(diagnosis)))
        if write is not None:
            from keptalive.diagnosis.report.of_diagnosis import diagnosis_page

            write(diagnosis_page(diagnosis))
    return Exit.INTERRUPTED if diagnosis.evidence.interrupted else exit_for(diagnosis)


def _diagnose(args: argparse.Namespace) -> Diagnosis:
    """Return what was found, interrupted or not."""
    with watch(quiet=args.json) as show:
        session = Session(
            args.url,
            method=args.method,
            headers=[header for text in args.header for header in _headers(text)],
            data=None if args.data is None else _read(args.data),
            policy=None if args.policy is None else Timers.parse(args.policy),
            timeout=args.timeout,
            proxy=args.proxy,
            insecure=args.insecure,
            cacert=args.cacert,
            twice=args.twice,
            connections=args.connections,
            rate=args.rate,
            output=args.output,
            progress=show,
        )
        if not session.both:
            print(
                f"keptalive: {session.request.method} may change something, so it is sent once, held; "
                f"--twice sends it plain as well",
                file=sys.stderr,
            )
        interrupted = False
        try:
            asyncio.run(session.run())
        except KeyboardInterrupt:
            interrupted = True
    return session.result(interrupted=interrupted)


def exit_for(diagnosis: Diagnosis) -> Exit:
    """Return the exit code of a verdict: nothing is fine that was not seen to end well."""
    if diagnosis.verdict == "slow-server" and unanswered(diagnosis.evidence):
        return Exit.UNKNOWN
    return _EXITS[MEANINGS[diagnosis.verdict].exit]


def _headers(text: str) -> list[tuple[str, str]]:
    """Read a header, or a file of them."""
    if not text.startswith("@"):
        return [parse_header(text)]
    lines = _file(text[1:]).decode("utf-8", "surrogateescape").splitlines()
    return [parse_header(line) for line in lines if line.strip()]


def _read(text: str) -> bytes:
    return _file(text[1:]) if text.startswith("@") else text.encode("utf-8", "surrogateescape")


def _file(name: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise BadInput(f"{name} cannot be read: {error.strerror}") from error


def as_text(diagnosis: Diagnosis) -> list[str]:
    """Return the diagnosis as lines for people."""
    evidence, policy = diagnosis.evidence, diagnosis.policy
    room = limit(sys.stdout)
    width = min(_WIDTH, room or _WIDTH)
    lines = [f"{escape(evidence.request.method)} {escape(evidence.request.url)}: {diagnosis.verdict}"]
    if evidence.interrupted:
        lines.append(f"Interrupted after {evidence.seconds:.1f} s. What is known so far:")
    lines += [*textwrap.wrap(escape(diagnosis.sentence), width), "", "What was seen"]
    for fact in diagnosis.because:
        lines += textwrap.wrap(escape(fact), width, initial_indent="  ", subsequent_indent="    ")
    if diagnosis.also_possible:
        lines += ["", f"It may also be: {', '.join(diagnosis.also_possible)}."]
    helps = f"Does keepalive help: {_HELPS[diagnosis.keepalive_helps]}"
    if policy is not None:
        helps += f", with --policy {policy}, in Python {as_python(policy)}"
    lines += ["", wrapped(f"{helps}."), "", "What to do"]
    for step in diagnosis.steps:
        lines += textwrap.wrap(step.what, width, initial_indent=f"  {step.who:9}", subsequent_indent=" " * 11)
    if diagnosis.code:
        name_width = max(map(len, diagnosis.code)) + 2
        lines += ["", "In code"]
        for client, line in diagnosis.code.items():
            first, *others = _code(line, None if room is None else room - name_width - 2)
            lines += [f"  {client:{name_width}}{first}", *(f"{'':{name_width + 2}}{more}" for more in others)]
    return lines


def _code(line: str, room: int | None) -> list[str]:
    """Break a line of Python within brackets or before a comment; a command has neither, and stays whole."""
    if room is None or len(line) <= room:
        return [line]
    code, mark, comment = line.partition("  # ")
    broken = [""]
    for piece in [*re.split(r"(?<=\()|(?<=, )", code), mark + comment]:
        if broken[-1].strip() and len(broken[-1]) + len(piece.rstrip()) > room:
            broken.append("    " + piece.lstrip())
        else:
            broken[-1] += piece
    return [part.rstrip() for part in broken]
