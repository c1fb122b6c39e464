"""The Python of the README and of the explanations, which says what matters and leaves the rest out.

It runs with what it leaves out in front: the imports, a host, a socket.
"""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from documentation.pages import DOCS, ROOT
from support import clean_environment

PAGES = [
    page
    for page in (ROOT / "README.md", *sorted((DOCS / "explanation").glob("*.md")))
    if "```python" in page.read_text()
]

_BEFORE = """\
import asyncio, http.client, socket, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import aiohttp, boto3, httpx, keptalive, openai, requests

class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
threading.Thread(target=server.serve_forever, daemon=True).start()
host, port = server.server_address
error = TimeoutError("timed out")

async def main():
    global client, keptalive, requests, sock
"""
_SOCKET = "keptalive.uninstall(); sock = socket.create_connection((host, port))"
_AFTER = "\nasyncio.run(main())\n"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_snippets_run(page: Path) -> None:
    """From top to bottom, with an answer from this machine in the place of example.org's."""
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    code = "\n".join(f"{_SOCKET}\n{block}" for block in blocks)
    body = code.replace('"https://example.org/report/that/takes/six/minutes"', 'f"http://{host}:{port}/"')
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _BEFORE + textwrap.indent(body, "    ") + _AFTER],
        env={**clean_environment(), "OPENAI_API_KEY": "none", "AWS_DEFAULT_REGION": "eu-central-1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert done.returncode == 0, done.stderr
    if page.stem == "README":
        assert done.stdout.count("on, idle ") == 2  # of read(session) and apply(sock)
