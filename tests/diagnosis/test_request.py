"""From a URL and options to bytes; and to a shape that holds no secret."""

from __future__ import annotations

import base64

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keptalive.diagnosis.request import Proxies, Proxy, Request, make_request, parse_header
from keptalive.errors import BadInput

DIRECT = Proxies(None, from_environment=False)


def make(url: str, **more: object) -> Request:
    return make_request(url, proxies=DIRECT, **more)  # type: ignore[arg-type]


def lines(request: Request) -> list[str]:
    return request.encode().decode().split("\r\n")


def test_a_get() -> None:
    """No more than a client has to say."""
    assert lines(make("http://example.com/a b?c=d e#f")) == [
        "GET /a%20b?c=d%20e HTTP/1.1",
        "Host: example.com",
        "User-Agent: keptalive",
        "Accept: */*",
        "",
        "",
    ]


def test_a_post() -> None:
    """A body makes it a POST, with its length; the user's headers replace ours."""
    request = make("https://example.com:8443", body=b"a=b", headers=[("content-type", "text/plain")])

    assert request.tls
    assert request.encode().endswith(b"\r\n\r\na=b")
    assert lines(request)[:2] == ["POST / HTTP/1.1", "Host: example.com:8443"]
    assert "Content-Length: 3" in lines(request)
    assert [line for line in lines(request) if "ype:" in line] == ["content-type: text/plain"]


@pytest.mark.parametrize(
    ("url", "authority", "port"),
    [
        ("http://h", "h", 80),
        ("https://h", "h", 443),
        ("https://h:443", "h", 443),
        ("http://h:443", "h:443", 443),
        ("http://[::1]:81/", "[::1]:81", 81),
        ("http://bücher.example", "xn--bcher-kva.example", 80),
        ("HTTP://EXAMPLE.com", "example.com", 80),
    ],
)
def test_where(url: str, authority: str, port: int) -> None:
    """Host, port, and the name that the server is called by."""
    request = make(url)

    assert (request.authority, request.port) == (authority, port)


@pytest.mark.parametrize(
    "url",
    "|example.com|ftp://h|http://|http://h:0|http://h:x|http://h:70000|http://a b/|http://[::1|//h/|http:///p"
    f"|http://{'ü' * 70}.example/".split("|"),
)
def test_what_is_no_url(url: str) -> None:
    """One sentence, that does not repeat what may hold a password."""
    with pytest.raises(BadInput):
        make(url)


def test_bad_urls_are_not_repeated() -> None:
    """A URL that cannot be read may hold a secret all the same."""
    for url in ("http://user:MARKER@h:x/MARKER?MARKER", "http://user:MARKER", "MARKER://h"):
        with pytest.raises(BadInput) as caught:
            make(url)

        assert "MARKER" not in str(caught.value)


@pytest.mark.parametrize("line", ["no colon MARKER", "a b: MARKER", ": MARKER", "a: b\r\nMARKER: c", "a: \0"])
def test_what_is_no_header(line: str) -> None:
    """Refused, and not repeated."""
    with pytest.raises(BadInput) as caught:
        parse_header(line)

    assert "MARKER" not in str(caught.value)


def test_headers() -> None:
    """As curl takes them."""
    assert parse_header("Authorization:  Bearer a:b ") == ("Authorization", "Bearer a:b")
    with pytest.raises(BadInput, match="Transfer-Encoding"):
        parse_header("Transfer-Encoding: chunked")
    with pytest.raises(BadInput, match="method"):
        make("http://h", method="GE T")


def basic(text: str) -> str:
    return f"Basic {base64.b64encode(text.encode()).decode()}"


def test_credentials() -> None:
    """A user in the URL is what curl makes of it."""
    request = make("http://us%40er:p%3Aw@h/")

    assert f"Authorization: {basic('us@er:p:w')}" in lines(request)
    assert request.shape().url == "http://h/"


def test_through_a_proxy() -> None:
    """Plain requests name the whole URL; others open a tunnel. The proxy's password is for the proxy."""
    proxies = Proxies(Proxy.parse("http://me:secret@proxy.example:3128"))
    plain = make_request("http://h/a", proxies=proxies)
    tunnelled = make_request("https://h/a", proxies=proxies)

    assert lines(plain)[0] == "GET http://h/a HTTP/1.1"
    assert f"Proxy-Authorization: {basic('me:secret')}" in lines(plain)
    assert lines(tunnelled)[0] == "GET /a HTTP/1.1"
    assert b"Proxy-Authorization" not in tunnelled.encode()
    assert tunnelled.encode_connect().startswith(b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\nProxy-Auth")
    assert plain.shape().proxy == "proxy.example:3128"


def test_the_environments_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """http_proxy, https_proxy and no_proxy as everywhere, and said where from."""
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "inside.example")
    outside, inside = make_request("http://h"), make_request("http://inside.example")

    assert (outside.shape().proxy, outside.shape().proxy_from) == ("proxy.example:3128", "environment")
    assert inside.proxy is None
    assert make_request("https://h").proxy is None
    assert make("http://h").proxy is None


@pytest.mark.parametrize("text", ["socks5://h:1080", "https://h:443", "http://", "h:port"])
def test_proxies_of_other_kinds(text: str) -> None:
    """Refused, with the reason."""
    with pytest.raises(BadInput):
        Proxy.parse(text)


def test_the_shape_holds_no_secret() -> None:
    """Neither shape nor repr: no header's value, user, query, body, or step that identifies."""
    secret = "MARKER-that-is-long-enough-for-a-key"
    request = make(
        f"https://{secret}:{secret}@h/api/{secret}/x?key={secret}",
        method="PUT",
        headers=[("Authorization", secret), ("Cookie", secret)],
        body=secret.encode(),
    )
    shape = request.shape()

    assert secret in request.encode().decode()
    assert "MARKER" not in repr(request) + repr(shape)
    assert shape.url == "https://h/api/…/x?…"
    assert (shape.header_names, shape.body_bytes) == (("Authorization", "Cookie"), len(secret))


# status, the method before and after, is the body kept
REDIRECTS = [
    (301, "GET", "GET", True),
    (301, "POST", "GET", False),
    (302, "POST", "GET", False),
    (302, "PUT", "PUT", True),
    (303, "PUT", "GET", False),
    (303, "HEAD", "HEAD", True),
    (307, "POST", "POST", True),
    (308, "PUT", "PUT", True),
]


@pytest.mark.parametrize(("status", "before", "after", "kept"), REDIRECTS)
def test_redirects(status: int, before: str, after: str, kept: bool) -> None:
    """Method and body as browsers, curl and requests do it."""
    request = make("http://h/a/b", method=before, body=b"x", headers=[("Content-Type", "text/plain")])
    there = request.redirected(status, "../c?d", DIRECT)

    assert (there.method, there.target, there.body) == (after, "/c?d", b"x" if kept else b"")
    assert bool(there.headers) is kept
    assert there.shape().redirects == 1


def test_secrets_stay_at_home() -> None:
    """A redirect to another host, port or scheme gets no password, no cookie and no header Authorization."""
    request = make("https://me:pw@h/", headers=[("Authorization", "x"), ("Cookie", "x"), ("X-Other", "x")])
    same = request.redirected(302, "/other", DIRECT)

    assert (same.credentials, len(same.headers)) == ("me:pw", 3)
    for location in ("https://other/", "https://h:444/", "http://h/"):
        there = request.redirected(302, location, DIRECT)
        assert (there.credentials, there.headers) == (None, (("X-Other", "x"),))


def test_redirects_without_end() -> None:
    """Twenty are enough."""
    request = make("http://h/")
    for _ in range(20):
        request = request.redirected(302, "/", DIRECT)

    with pytest.raises(BadInput, match="redirects"):
        request.redirected(302, "/", DIRECT)
    with pytest.raises(BadInput):
        make("http://h/").redirected(302, "mailto:me@h", DIRECT)


def test_a_redirect_in_raw_bytes() -> None:
    """What is beyond ASCII in a Location goes back byte for byte, though headers are read as Latin-1."""
    location = "/größe".encode().decode("latin-1")

    assert make("http://h/").redirected(302, location, DIRECT).target == "/gr%C3%B6%C3%9Fe"


_TEXT = st.text(alphabet="ab:/@[]?#%.\\0123456789 \t\r\n\0é\udcff", max_size=20)
_URLS = st.tuples(st.sampled_from(["", "http://", "https://u:geheim@", "http://h/", "//", "http://["]), _TEXT)
_HEADERS = st.tuples(st.sampled_from(["X-A", "host", "Authorization", "a b", ""]), _TEXT)


def _is_one_request(request: Request) -> None:
    """What is sent has the lines it should have, and no more: nothing smuggled, nothing undecodable."""
    first, *rows = request.encode().decode().removesuffix("\r\n\r\n").split("\r\n")
    method, target, version = first.split(" ")

    assert (method, version) == (request.method, "HTTP/1.1")
    assert target.isascii()
    assert target.isprintable()
    assert all(": " in row and "\n" not in row and "\r" not in row for row in rows)
    assert len(rows) <= 5 + len(request.headers)
    assert "geheim" not in repr(request)
    assert "geheim" not in repr(request.shape())


@given(_URLS.map("".join), st.lists(_HEADERS, max_size=2))
@example("http://h:" + "9" * 5000, [])  # int() refuses thousands of digits
@example("http://h/\udcff", [])  # a byte that is no UTF-8, as an argument may hold
@example("http://h/", [("X-A", "\udcff")])
def test_any_url_and_headers_are_one_request_or_refused(url: str, headers: list[tuple[str, str]]) -> None:
    """A request whose bytes are what they should be, or BadInput that shows no password."""
    try:
        request = make(url, headers=headers)
    except BadInput as error:
        assert "geheim" not in str(error)
        return
    _is_one_request(request)


@given(_URLS.map(lambda parts: "".join(parts).encode("utf-8", "surrogateescape").decode("latin-1")))
@example("http://[")
def test_any_redirect_is_followed_or_refused(location: str) -> None:
    """Whatever a server writes into Location: one more request, which takes no secret along, or BadInput."""
    request = make("http://h/a/b", headers=[("Cookie", "secret")])
    try:
        there = request.redirected(302, location, DIRECT)
    except BadInput:
        return
    _is_one_request(there)
    assert (b"secret" in there.encode()) is (there.origin == request.origin)


@given(st.text(max_size=20) | _TEXT.map("X: {}".format))
def test_any_text_is_a_header_or_refused(line: str) -> None:
    """A name and a value that can be sent, or BadInput, which does not repeat it."""
    try:
        name, value = parse_header(line)
    except BadInput as error:
        assert len(line) < 6 or line not in str(error)
        return
    assert line.startswith(name) or line.lstrip().startswith(name)
    assert "\n" not in value
    assert parse_header(f"{name}: {value}") == (name, value)


@given(_URLS.map("".join))
def test_any_text_is_a_proxy_or_refused(text: str) -> None:
    """One with a host and a port, or BadInput that shows no password."""
    try:
        proxy = Proxy.parse(text)
    except BadInput as error:
        assert "geheim" not in str(error)
        return
    assert proxy.host
    assert 0 < proxy.port < 65536
    assert "geheim" not in repr(proxy)
