"""The process that builds and holds the kernel engine's namespaces; its firewall is the kernel's own.

Rule: it starts nothing; when its owner goes, it ends whatever still lives in its namespaces.
"""

from __future__ import annotations

from typing import Any

from keptalive.errors import LabError
from keptalive.lab import conntrack
from keptalive.lab.control import Owner
from keptalive.lab.faults import parse
from keptalive.lab.faults.fault import AfterIdle
from keptalive.lab.networks import Networks


def main(owner: Owner) -> None:
    """Serve the kernel engine."""
    networks = Networks()

    def build(faults: str, spare: int) -> dict[str, Any]:
        (fault,) = parse(faults).parts
        assert isinstance(fault, AfterIdle)
        networks.build(spare)
        import pyroute2

        try:
            conntrack.set_up(fault, ipv6=networks.ipv6)
        except (OSError, pyroute2.NetlinkError) as error:
            raise LabError(f"the firewall cannot be set up here ({error})") from error
        return networks.handed_over("the kernel's connection tracking")

    def expire() -> dict[str, Any]:
        conntrack.forget()
        return {}

    try:
        owner.serve(
            {
                "build": build,
                "socket": networks.client_socket,
                "sysctl": networks.set_sysctl,
                "expire": expire,
            }
        )
    finally:
        networks.sweep()
