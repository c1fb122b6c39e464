"""The request to diagnose: from a URL and what the user adds, to bytes, and to its shape for the record.

Rule: pure, but for reading the environment's proxies. Both arms send the same bytes; the secrets are in them
and nowhere else.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from string import punctuation
from typing import Any, Literal
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from keptalive.diagnosis.evidence import Shape
from keptalive.errors import BadInput

#: Methods that may be repeated without asking: they change nothing (RFC 9110, 9.2.1).
REPEATABLE = ("GET", "HEAD")
#: Hops, as curl's and requests' order of magnitude: more are a loop.
MOST_REDIRECTS = 20
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_KEPT_IN_PATH = 24  # characters: longer steps of a path are identifiers at best and capabilities at worst
_SAFE = "!#$%&'()*+,/:;=?@[]~"  # what a URL may hold as it is
_BODY_HEADERS = ("content-type", "content-length")
_OWN_TO_ORIGIN = ("authorization", "cookie", "host")  # not for another host that a redirect leads to


@dataclass(frozen=True)
class Proxy:
    """An explicit HTTP proxy."""

    host: str
    port: int
    credentials: str | None = field(default=None, repr=False)  # "USER:PASSWORD"
    source: Literal["option", "environment"] = "option"

    @classmethod
    def parse(cls, text: str, source: Literal["option", "environment"] = "option") -> Proxy:
        """Read HOST:PORT or http://[USER:PASSWORD@]HOST:PORT. Raises BadInput."""
        url = _split(text if "://" in text else f"http://{text}", "a proxy")
        if url.scheme != "http":
            raise BadInput(f"a proxy of the kind {url.scheme}:// is not spoken here: only http:// ones are")
        return cls(url.hostname or "", url.port or 8080, _credentials(url), source)


@dataclass(frozen=True)
class Request:
    """One HTTP request. `repr` shows no header's value and no body."""

    method: str
    scheme: Literal["http", "https"]
    host: str
    port: int
    target: str = field(repr=False)  # path and query
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # the user's
    body: bytes = field(default=b"", repr=False)
    credentials: str | None = field(default=None, repr=False)
    proxy: Proxy | None = None
    redirects: int = 0

    @property
    def tls(self) -> bool:
        """True for https."""
        return self.scheme == "https"

    @property
    def origin(self) -> str:
        """Scheme, host and port: what a redirect may leave."""
        return f"{self.scheme}://{self.authority}"

    @property
    def authority(self) -> str:
        """HOST, with the port where it is not the scheme's."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _default_port(self.scheme) else f"{host}:{self.port}"

    @property
    def repeatable(self) -> bool:
        """True if sending it twice changes nothing."""
        return self.method in REPEATABLE

    def encode(self) -> bytes:
        """Return what is sent: to the server, or to a proxy that is not tunnelled through."""
        plain_proxy = self.proxy is not None and not self.tls
        target = f"{self.origin}{self.target}" if plain_proxy else self.target
        given = {name.lower() for name, _ in self.headers}
        rows = [("Host", self.authority), ("User-Agent", "keptalive"), ("Accept", "*/*")]
        if self.credentials is not None:
            rows.append(("Authorization", _basic(self.credentials)))
        if self.body or self.method in ("POST", "PUT", "PATCH"):
            rows.append(("Content-Length", str(len(self.body))))
        if self.body:
            rows.append(("Content-Type", "application/x-www-form-urlencoded"))  # as curl's -d
        rows = [row for row in rows if row[0].lower() not in given]
        if plain_proxy and self.proxy is not None and self.proxy.credentials is not None:
            rows.append(("Proxy-Authorization", _basic(self.proxy.credentials)))
        return _head(f"{self.method} {target} HTTP/1.1", [*rows, *self.headers]) + self.body

    def encode_connect(self) -> bytes:
        """Return the request that opens a tunnel through the proxy."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        where = f"{host}:{self.port}"
        rows = [("Host", where)]
        if self.proxy is not None and self.proxy.credentials is not None:
            rows.append(("Proxy-Authorization", _basic(self.proxy.credentials)))
        return _head(f"CONNECT {where} HTTP/1.1", rows)

    def shape(self) -> Shape:
        """Return the request without its secrets."""
        path, mark, _ = self.target.partition("?")
        steps = [step if len(step) <= _KEPT_IN_PATH else "…" for step in path.split("/")]
        return Shape(
            method=self.method,
            url=f"{self.origin}{'/'.join(steps)}{'?…' if mark else ''}",
            host=self.host,
            port=self.port,
            tls=self.tls,
            header_names=tuple(name for name, _ in self.headers),
            body_bytes=len(self.body),
            proxy=None if self.proxy is None else f"{self.proxy.host}:{self.proxy.port}",
            proxy_from=None if self.proxy is None else self.proxy.source,
            redirects=self.redirects,
        )

    def redirected(self, status: int, location: str, proxies: Proxies) -> Request:
        """Return the request that a redirect asks for. Raises BadInput: too many, or nowhere to go."""
        if self.redirects >= MOST_REDIRECTS:
            raise BadInput(f"more than {MOST_REDIRECTS} redirects: {self.origin} leads round in circles")
        # Bytes beyond ASCII go back as they came (RFC 3986, 2.1), whatever the server took them for.
        location = quote(location.encode("latin-1", "replace"), safe=punctuation)
        url = _split(location, "the target of a redirect", f"{self.origin}{self.target}")
        there = replace(self, **_place(url), redirects=self.redirects + 1)
        there = replace(there, proxy=proxies.for_request(there))
        dropped: tuple[str, ...] = ()
        if there.origin != self.origin:
            dropped = _OWN_TO_ORIGIN
            there = replace(there, credentials=_credentials(url))
        if (status == 303 and self.method != "HEAD") or (status in (301, 302) and self.method == "POST"):
            dropped += _BODY_HEADERS
            there = replace(there, method="GET", body=b"")
        headers = tuple(header for header in self.headers if header[0].lower() not in dropped)
        return replace(there, headers=headers)


@dataclass(frozen=True)
class Proxies:
    """Which proxy to use: the one given, none, or what the environment says."""

    given: Proxy | None = None
    from_environment: bool = True

    def for_request(self, request: Request) -> Proxy | None:
        """Return the proxy for a request. Raises BadInput for one that the environment names wrongly."""
        if self.given is not None or not self.from_environment:
            return self.given
        from urllib.request import getproxies, proxy_bypass

        proxies = getproxies()
        text = proxies.get(request.scheme) or proxies.get("all")
        if not text or proxy_bypass(f"{request.host}:{request.port}"):
            return None
        return Proxy.parse(text, "environment")


def make_request(
    url: str,
    *,
    method: str | None = None,
    headers: Sequence[tuple[str, str]] = (),
    body: bytes | None = None,
    proxies: Proxies | None = None,
) -> Request:
    """Put a request together; a body without a method makes it a POST. Raises BadInput."""
    parts = _split(url, "a URL")
    method = method or ("GET" if body is None else "POST")
    if not _TOKEN.fullmatch(method):
        raise BadInput(f"{method!r} is no HTTP method")
    for name, value in headers:
        _check_header(name, value)
    request = Request(
        method=method,
        **_place(parts),
        headers=tuple(headers),
        body=body or b"",
        credentials=_credentials(parts),
    )
    return replace(request, proxy=(proxies or Proxies()).for_request(request))


def parse_header(line: str) -> tuple[str, str]:
    """Read "Name: value". Raises BadInput, which does not repeat what may be a secret."""
    name, colon, value = line.partition(":")
    if not colon:
        raise BadInput("a header is written 'Name: value'; one given has no colon")
    _check_header(name.strip(), value.strip())
    return name.strip(), value.strip()


def _check_header(name: str, value: str) -> None:
    if not _TOKEN.fullmatch(name):
        raise BadInput("the name of a header given holds what no name may hold")
    if any(character in value for character in "\r\n\0"):
        raise BadInput(f"the value of header {name} holds a line break")
    if not _is_utf8(value):
        raise BadInput(f"the value of header {name} is not UTF-8")
    if name.lower() == "transfer-encoding":
        raise BadInput("leave Transfer-Encoding away: the body is sent with its length")


def _is_utf8(text: str) -> bool:
    """Tell whether text can be encoded; not if it was made of other bytes, as an argument's may be."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _split(text: str, what: str, base: str = "") -> SplitResult:
    """Take a URL, which may be relative to *base*, apart. Raises BadInput, which tells no secret."""
    if not _is_utf8(text):
        raise BadInput(f"that is not {what}: a byte that belongs to no character is written %FF")
    try:
        url = urlsplit(urljoin(base, text))
        port = url.port  # raises ValueError
    except ValueError:
        number = re.search(r"://[^/?#@]*:([0-9]{1,9})(?:[/?#]|$)", text)
        if number is not None and "@" not in text and int(number[1]) > 65535:
            raise BadInput(f"{number[1]} is not a port: they go from 1 to 65535") from None
        # What the error quotes may be a password.
        raise BadInput(f"that is not {what}: its host or its port cannot be read") from None
    if url.scheme not in ("http", "https"):
        guess = "" if base else _with_scheme(text)
        raise BadInput(f"that is not {what}: it begins with http:// or https://{guess}")
    host = url.hostname or ""
    if not host or any(character.isspace() or not character.isprintable() for character in host):
        raise BadInput(f"that is not {what}: it names no host")
    if port == 0:
        raise BadInput(f"that is not {what}: ports go from 1 to 65535")
    return url


def _with_scheme(text: str) -> str:
    """Return a question whether a URL was meant whose scheme was left out; a query is not repeated."""
    found = re.fullmatch(r"((?:[\w-]+\.)*[\w-]+(?::[0-9]{1,5})?)(?:[/?#].*)?", text, re.DOTALL)
    if found is None or not ("." in found[1] or found[1].partition(":")[0] == "localhost"):
        return ""
    near = re.match(r"localhost\b|127\.", found[1])
    return f"; did you mean {'http' if near else 'https'}://{found[1]}?"


def _place(url: SplitResult) -> dict[str, Any]:
    target = quote(url.path or "/", safe=_SAFE) + (f"?{quote(url.query, safe=_SAFE)}" if url.query else "")
    host = url.hostname or ""
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError as error:
            raise BadInput(f"{host!r} cannot be a host's name") from error
    return {
        "scheme": url.scheme,
        "host": host,
        "port": url.port or _default_port(url.scheme),
        "target": target,
    }


def _default_port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def _credentials(url: SplitResult) -> str | None:
    if url.username is None:
        return None
    return f"{unquote(url.username)}:{unquote(url.password or '')}"


def _basic(credentials: str) -> str:
    return f"Basic {base64.b64encode(credentials.encode()).decode('ascii')}"


def _head(first: str, rows: Sequence[tuple[str, str]]) -> bytes:
    lines = [first, *(f"{name}: {value}" for name, value in rows), "", ""]
    return "\r\n".join(lines).encode("utf-8")
