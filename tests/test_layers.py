"""The house rules that a machine can check: arrows point down, rooms stay small, one file knows the OS."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import keptalive

SOURCE = Path(keptalive.__file__).parent

# Bottom to top. A file may import from lower layers and from its own package.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("_version", "tcp_states", "escaping", "spelling"),
    ("errors", "tcp_info", "protection", "http_server"),
    ("policy", "output_file"),
    ("presets", "platforms"),
    ("environment",),
    ("sockets",),
    ("ends",),
    ("cover",),
    ("seams",),
    ("linux",),
    ("clients",),
    ("survey",),
    ("holding", "process_wide", "connections"),
    ("lab",),
    ("rescue", "probing", "serving"),
    ("diagnosis",),
    ("cli",),
    ("__main__",),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}

# Packages (beside the standard library) and where they may be imported at all.
THIRD_PARTY_IN = {
    "clients": None,  # each file its own library
    "process_wide": {"uvloop", "pycurl", "gevent", "asyncio"},
    "lab": {"pyroute2", "trustme", "pytest", "requests", "httpx", "aiohttp"},  # the last three: demo
    "cli": {"rich"},
}

MODULES = sorted(SOURCE.rglob("*.py"))
BY_NAME = {path.relative_to(SOURCE).as_posix(): path for path in MODULES}


def _room(path: Path) -> str:
    """Return the layer's name: the file, or the package it is in."""
    first = path.relative_to(SOURCE).parts[0]
    return first.removesuffix(".py")


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line, absolute module) of every import in a file, lazy ones and import_module() included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute here"
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Call) and _called(node) == "import_module":
            text = ast.unparse(node.args[0]).strip("f'\"")
            yield node.lineno, text


def _called(node: ast.Call) -> str:
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def _keptalive_room(module: str) -> str | None:
    parts = module.split(".")
    if parts[0] != "keptalive" or len(parts) == 1:
        return None
    return parts[1] if parts[1] in RANK else None


@pytest.mark.parametrize("name", BY_NAME)
def test_arrows_point_down(name: str) -> None:
    """A file imports from lower layers and its own package only."""
    path = BY_NAME[name]
    room = _room(path)
    if room == "__init__":
        return  # the list of public names reaches everywhere, lazily
    assert room in RANK, f"{name}: say in LAYERS where this stands"
    upward = [
        f"{name}:{line} imports {module}"
        for line, module in _imports(path)
        if (other := _keptalive_room(module)) is not None and other != room and RANK[other] >= RANK[room]
    ]

    assert upward == []


@pytest.mark.parametrize("name", BY_NAME)
def test_third_parties_stay_in_their_rooms(name: str) -> None:
    """The core imports nothing but the standard library."""
    path = BY_NAME[name]
    allowed = THIRD_PARTY_IN.get(_room(path), set())
    if allowed is None:
        return
    foreign = {
        module.partition(".")[0]
        for _, module in _imports(path)
        if module.partition(".")[0] not in sys.stdlib_module_names | {"keptalive"}
    }

    assert foreign <= allowed


def test_no_client_module_imports_another_unless_its_library_does() -> None:
    """requests stands on urllib3, the SDKs on httpx: those arrows and no others."""
    allowed = {
        "requests": {"urllib3", "http_client"},
        "botocore": {"urllib3"},
        "urllib3": {"http_client"},
        "urllib_request": {"http_client"},
        "httpx": {"httpx_family"},
        "httpx2": {"httpx_family"},
        "httpx_family": {"httpcore", "httpx_aiohttp"},
        "httpx_aiohttp": {"aiohttp"},
        "sdks": {"httpx", "httpx2"},
        "kubernetes": {"urllib3"},
        "elasticsearch": {"urllib3", "requests", "httpx", "aiohttp"},
        **{
            name: {"plain_sockets"}
            for name in ("anyio", "asyncio_streams", "tornado", "trio_streams", "websockets")
        },
    }
    found = {}
    for path in (SOURCE / "clients").glob("*.py"):
        others = {
            module.split(".")[2]
            for _, module in _imports(path)
            if module.startswith("keptalive.clients.") and len(module.split(".")) > 2
        }
        extra = others - allowed.get(path.stem, set()) - {path.stem}
        if extra:
            found[path.stem] = extra

    assert found == {}


@pytest.mark.parametrize("name", BY_NAME)
def test_only_the_table_knows_the_operating_system(name: str) -> None:
    """No file but platforms.py asks which system it runs on."""
    if name == "platforms.py":
        return
    questions = [
        ast.unparse(node)
        for node in ast.walk(ast.parse(BY_NAME[name].read_text()))
        if isinstance(node, ast.Attribute)
        and ast.unparse(node) in ("sys.platform", "os.name", "platform.system")
    ]

    assert questions == []


@pytest.mark.parametrize("name", BY_NAME)
def test_rooms_are_small(name: str) -> None:
    """About 300 lines a module, 60 a function; every module states its idea."""
    text = BY_NAME[name].read_text()
    tree = ast.parse(text)
    long = [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.end_lineno is not None
        and node.end_lineno - node.lineno >= 60
    ]

    assert ast.get_docstring(tree)
    assert text.count("\n") <= 320
    assert long == []


def test_no_cycles() -> None:
    """Inside a package the imports at module level form no circle."""
    graph: dict[str, set[str]] = {}
    names = {
        "keptalive." + name.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        for name in BY_NAME
    }
    for name, path in BY_NAME.items():
        module = "keptalive." + name.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        top = ast.parse(path.read_text()).body
        targets = set()
        for node in top:
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    full = f"{node.module}.{alias.name}"
                    targets.add(full if full in names else node.module)
        graph[module] = targets & names - {module}

    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module not in done:
            for other in graph[module]:
                visit(other, (*path, module))
            done.add(module)

    for module in graph:
        visit(module, ())
