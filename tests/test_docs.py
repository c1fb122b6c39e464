"""The documentation is true: links lead somewhere, examples run. documentation/ has what needs Linux."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from matrix.server import ANSWER
from support import clean_environment

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link names a file of the project."""
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    missing = [
        t
        for t in targets
        if "://" not in t and not t.startswith("mailto:") and not (page.parent / t).exists()
    ]

    assert missing == []


# The examples of this page need libraries that ./dev sdks installs.
NEEDS_SDKS = "hold-sdks"
HOW_TO = [
    pytest.param(
        page,
        id=page.stem,
        marks=[pytest.mark.sdks, pytest.mark.timeout(600)] if page.stem == NEEDS_SDKS else [],
    )
    for page in sorted((ROOT / "docs" / "howto").glob("*.md"))
]


@pytest.mark.parametrize("page", HOW_TO)
def test_examples_run(page: Path, tmp_path: Path) -> None:
    """The Python of a how-to page, from top to bottom, against a server of ours in the place of port 8000."""
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", page.read_text(), flags=re.DOTALL | re.MULTILINE))
    if not code:
        return  # a page about commands
    with ThreadingHTTPServer(("127.0.0.1", 0), _Anything) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            code = code.replace("127.0.0.1:8000", f"127.0.0.1:{server.server_port}")
            code = re.sub(r'"127\.0\.0\.1", 8000\b', f'"127.0.0.1", {server.server_port}', code)
            done = subprocess.run(
                [sys.executable, "-c", code],
                cwd=tmp_path,
                env=clean_environment(),
                capture_output=True,
                text=True,
                check=False,
                timeout=500 if page.stem == NEEDS_SDKS else 100,  # imports alone: ten seconds of CPU
            )
        finally:
            server.shutdown()
            thread.join()

    assert done.returncode == 0, done.stderr
    # What a comment shows of a connection is printed: a loop over nothing would run as well.
    assert done.stdout.count("on, idle ") >= code.count("on, idle ")


def test_tests_of_the_lab_page_pass(tmp_path: Path) -> None:
    """Those that a reader copies, by pytest, before a server that keeps its connections open."""
    page = ROOT / "docs" / "howto" / "test-your-client-against-a-firewall.md"
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    code = "\n".join(block for block in blocks if "def test_" in block)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Anything) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            (tmp_path / "test_page.py").write_text(code.replace("8000", str(server.server_port)))
            done = subprocess.run(
                [sys.executable, "-m", "pytest", "-q", "test_page.py"],
                cwd=tmp_path,
                env=clean_environment(),
                capture_output=True,
                text=True,
                check=False,
                timeout=100,
            )
        finally:
            server.shutdown()
            thread.join()

    assert f"{code.count('def test_')} passed" in done.stdout, done.stdout


class _Anything(BaseHTTPRequestHandler):
    """Answers whatever is asked."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Elastic-Product", "Elasticsearch")  # its client insists
        self.send_header("Content-Length", str(len(ANSWER)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(ANSWER.encode())

    do_POST = do_PUT = do_HEAD = do_GET

    def log_message(self, *args: object) -> None:
        """Keep quiet."""
