"""TCP keepalive for every Python HTTP client and every other program.

Rule: names only. Each is loaded when first used, so `import keptalive` loads no
client library, no linux/ module and next to nothing of its own.
"""

from __future__ import annotations

from keptalive._version import __version__ as __version__

TYPE_CHECKING = False  # type checkers know the name; importing typing for it would cost 3 ms
if TYPE_CHECKING:  # "as" marks a re-export
    from typing import Any

    from keptalive.connections import Connection as Connection
    from keptalive.connections import list_connections as list_connections
    from keptalive.diagnosis.evidence import Timers as Timers
    from keptalive.diagnosis.exceptions import Explanation as Explanation
    from keptalive.diagnosis.exceptions import explain as explain
    from keptalive.diagnosis.result import Diagnosis as Diagnosis
    from keptalive.diagnosis.session import diagnose as diagnose
    from keptalive.errors import BadInput as BadInput
    from keptalive.errors import ConnectionLost as ConnectionLost
    from keptalive.errors import KeptaliveError as KeptaliveError
    from keptalive.errors import KeptaliveWarning as KeptaliveWarning
    from keptalive.errors import LabError as LabError
    from keptalive.errors import LabNotSupported as LabNotSupported
    from keptalive.errors import NoSuchProcess as NoSuchProcess
    from keptalive.errors import NotPermitted as NotPermitted
    from keptalive.errors import NotSupported as NotSupported
    from keptalive.errors import PolicyError as PolicyError
    from keptalive.errors import SocketError as SocketError
    from keptalive.errors import Uncovered as Uncovered
    from keptalive.errors import UnknownTarget as UnknownTarget
    from keptalive.holding import hold as hold
    from keptalive.holding import read as read
    from keptalive.policy import Policy as Policy
    from keptalive.probing.result import ProbeResult as ProbeResult
    from keptalive.probing.session import probe as probe
    from keptalive.process_wide import InstallReport as InstallReport
    from keptalive.process_wide import install as install
    from keptalive.process_wide import installed as installed
    from keptalive.process_wide import uninstall as uninstall
    from keptalive.rescue.attach import AttachReport as AttachReport
    from keptalive.rescue.attach import attach as attach
    from keptalive.rescue.attach import read_process as read_process
    from keptalive.sockets import Report as Report
    from keptalive.sockets import SocketState as SocketState
    from keptalive.sockets import apply as apply
    from keptalive.sockets import socket_options as socket_options
    from keptalive.tcp_info import TcpInfo as TcpInfo

# module -> the public names it holds
_NAMES = {
    "connections": "Connection list_connections",
    "diagnosis.exceptions": "Explanation explain",
    "diagnosis.evidence": "Timers",
    "diagnosis.result": "Diagnosis",
    "diagnosis.session": "diagnose",
    "errors": (
        "BadInput ConnectionLost KeptaliveError KeptaliveWarning LabError LabNotSupported NoSuchProcess "
        "NotPermitted NotSupported PolicyError SocketError Uncovered UnknownTarget"
    ),
    "holding": "hold read",
    "policy": "Policy",
    "probing.result": "ProbeResult",
    "probing.session": "probe",
    "process_wide": "InstallReport install installed uninstall",
    "rescue.attach": "AttachReport attach read_process",
    "sockets": "Report SocketState apply socket_options",
    "tcp_info": "TcpInfo",
}
_HOME = {name: module for module, names in _NAMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'keptalive' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"keptalive.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
