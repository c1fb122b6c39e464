"""Whose tests are run, and how one part of them is started.

Rule: a suite is run as its authors run it, less what needs the Internet, a browser or hours. What is
left out stands here with its reason.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from harm.outcomes import AS_A_WHOLE

# The standard library's tests of whatever opens connections, on sockets, TLS, event loops, protocols,
# by what CI has the time for and what it has not.
STDLIB_QUICK = (
    "test_asyncio.test_selector_events",
    "test_asyncio.test_sock_lowlevel",
    "test_asyncio.test_streams",
    "test_asyncio.test_server",
    "test_ftplib",
    "test_httplib",
    "test_imaplib",
    "test_poplib",
    "test_smtplib",
    "test_socket",
    "test_socketserver",
    "test_ssl",
    "test_urllib",
    "test_urllib2",
    "test_urllib2_localnet",
    "test_xmlrpc",
)
STDLIB_REST = (
    "test_asyncio.*",
    "test_asynchat",  # until 3.11, as asyncore and smtpd
    "test_asyncore",
    "test_docxmlrpc",
    "test_epoll",
    "test_http_cookiejar",
    "test_httpservers",
    "test_logging",
    "test_nntplib",  # until 3.12, as telnetlib
    "test_poll",
    "test_robotparser",
    "test_select",
    "test_selectors",
    "test_smtpd",
    "test_telnetlib",
    "test_timeout",
    "test_urllib_response",
    "test_wsgiref",
    # What the switch touches beside connections: imports, signatures, the module socket, forks.
    "test_audit",
    "test_fork1",
    "test_import",
    "test_importlib",
    "test_inspect",
    "test_multiprocessing_fork",
    "test_pkgutil",
    "test_pyclbr",
    "test_pydoc",
    "test_runpy",
    "test_signal",
    "test_site",
    "test_threading",
)
AT_A_TIME = 8  # test files of a library in one process
# Everything but what opens windows, fills disks, or fetches pages. "network" is asked for by tests on
# loopback, too, as test_socketserver; the few of these modules that want more find nobody, and skip.
RESOURCES = "all,-gui,-audio,-largefile,-urlfetch"
# Hangs, plain as well, on a virtual machine whose host does not speak vsock with it.
STDLIB_WITHOUT = "*.ThreadedVSOCKSocketStreamTest.*"


@dataclass(frozen=True)
class Library:
    """A client library whose source distribution brings its tests along."""

    name: str
    version: str
    tests: str  # their folder in the source distribution
    requirements: tuple[str, ...]
    options: tuple[str, ...] = ()  # of pytest
    quick: tuple[str, ...] = ()  # files that CI runs; none given: all
    without: tuple[str, ...] = ()  # files left out, for the reason beside them
    needs: tuple[str, ...] = ()  # other files and folders of the source distribution
    slow: tuple[str, ...] = ()  # files that take as long as all of a process's: they begin, each by itself

    @property
    def requirement(self) -> str:
        """Return the pinned requirement; the tests run against this, installed as users have it."""
        return f"{self.name}=={self.version}"

    def split(self, files: Collection[str]) -> list[tuple[str, ...]]:
        """Return *files* in the order in which processes are to run them, some at a time."""
        slow = [file for file in files if file in self.slow]
        rest = [file for file in files if file not in self.slow]
        number = -(-len(rest) // AT_A_TIME)
        return [*((file,) for file in slow), *(tuple(rest[n::number]) for n in range(number))]


_PYTEST = ("pytest>=8.4,<10", "pytest-timeout>=2.3", "trustme>=1.2.1")

LIBRARIES = (
    Library(
        "urllib3",
        "2.8.0",
        "test",
        (
            *_PYTEST,
            "urllib3[brotli,h2,socks]",
            "anyio[trio]>=4.8",
            "httpx>=0.28.1",
            "hypercorn>=0.15",
            "pytest-socket>=0.7",
            "quart>=0.20",
            "quart-trio>=0.12",
            "cryptography>=44.0.2",
            "idna>=3.10",
            "pyopenssl>=25.3",
        ),
        ("-m", "not requires_network"),
        quick=("test_connection.py", "test_connectionpool.py", "with_dummyserver/test_socketlevel.py"),
        without=("contrib/emscripten",),  # runs in a browser
        needs=("dummyserver", "pyproject.toml"),
    ),
    Library(
        "requests",
        "2.34.2",
        "tests",
        (
            *_PYTEST,
            "requests[socks]",
            "httpbin~=0.10.0",
            "pytest-httpbin==2.1.0",
            "pytest-mock",
        ),
        needs=("pyproject.toml", "requirements-dev.txt"),  # the latter is what its tests upload
    ),
    Library(
        "httpx",
        "0.28.1",
        "tests",
        (
            *_PYTEST,
            "httpx[brotli,cli,http2,socks,zstd]",
            # As in the requirements of its own repository at that version: what came later fails its tests.
            "chardet==5.2.0",
            "click<8.2",
            "trio==0.27.0",
            "uvicorn==0.32.1",
        ),
        ("-m", "not network"),
        quick=(
            "client/test_async_client.py",
            "client/test_client.py",
            "client/test_proxies.py",
            "test_timeouts.py",
        ),
        needs=("pyproject.toml",),
    ),
    Library(
        "aiohttp",
        "3.14.5",
        "tests",
        (
            *_PYTEST,
            "aiohttp[speedups]",
            "blockbuster",
            "coverage",  # a filter of warnings names it
            "freezegun",
            "gunicorn",
            "isal",
            "proxy.py>=2.4.4rc5",
            "pytest-mock",
            "pytest-xdist",
            "pytest_codspeed",
            "setuptools-git",
            "uvloop",
            "zlib_ng",
        ),
        ("-m", "not dev_mode and not autobahn and not internal"),
        quick=("test_connector.py", "test_proxy_functional.py"),
        # In containers; scripts that test_leaks.py starts itself; timing.
        without=("autobahn", "isolated", "test_benchmarks_"),
        needs=("pytest.ini", "README.rst"),  # the latter is what a test tries to reach past its folder
        slow=("test_http_parser.py",),  # a fifth of all its tests
    ),
)


@dataclass(frozen=True)
class Part:
    """What one process runs."""

    suite: str
    python: Path
    tests: tuple[str, ...]  # modules, or files
    folder: Path | None = None  # where the tests lie, for pytest
    options: tuple[str, ...] = ()

    def command(self, report: Path) -> list[str]:
        """Return the command that runs these tests and writes *report*, in JUnit's form."""
        if self.folder is None:
            return [
                *(str(self.python), "-m", "test", "-v", "-u", RESOURCES, "-i", STDLIB_WITHOUT),
                *("--fail-env-changed", "--timeout", "600", "--junit-xml", str(report), *self.tests),
            ]
        return [
            *(str(self.python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly"),
            # Their own options ask for coverage, parallel workers and reports of durations.
            *("-o", "addopts=", "-o", "junit_family=xunit2", "-o", "junit_logging=no"),
            *("--timeout", "120", "--junit-xml", str(report), *self.options, *self.tests),
        ]

    @property
    def whole(self) -> str:
        """Return the name under which it is told how the process ended."""
        return f"{self.suite} from {self.tests[0]}{AS_A_WHOLE}"

    def narrowed(self, tests: Collection[str]) -> Part:
        """Return what is to be run again for these tests: their files, or all of it."""
        modules = {file: file.removesuffix(".py").replace("/", ".") for file in self.tests}
        doubtful = [file for file, name in modules.items() if any(_is_in(test, name) for test in tests)]
        found = all(any(_is_in(test, modules[file]) for file in doubtful) for test in tests)
        return replace(self, tests=tuple(doubtful)) if doubtful and found else self


def _is_in(test: str, module: str) -> bool:
    return test.startswith((f"{module}.", f"{module}::"))
