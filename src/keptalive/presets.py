"""Known middleboxes: how long they remember an idle connection, and what they do then.

Rule: a row states a default that its maker, or a report from the field, states; with the source and the month
in which it was read. Folklore stays out. All times are seconds.

A box of layer 4 counts packets: keepalive holds its connections. One of layer 7 counts bytes of requests and
responses: no probe impresses it, and only its own setting, or a response that trickles, helps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from keptalive.errors import PolicyError
from keptalive.policy import Policy
from keptalive.spelling import similar

AtExpiry = Literal["silent", "reset on next packet", "reset at once", "closes", "answers with an error"]

# A timeout is found a little late or early: boxes look at their clocks every second or so, and some count
# from the second packet of a pair.
_TOLERANCE = 0.02
_TOLERANCE_AT_LEAST = 1.0


@dataclass(frozen=True)
class Preset:
    """One kind of middlebox at its default."""

    name: str
    title: str
    idle_timeout: int  # s
    at_expiry: AtExpiry
    source: str
    looked_up: str  # the month in which the source was read, YYYY-MM
    configurable: tuple[int, int] | None = None  # s, from and to; None: fixed, or the source does not say
    keepalive_helps: bool = True  # False: it counts bytes, not packets

    @property
    def policy(self) -> Policy:
        """The policy that keeps its connections open. Raises PolicyError where none can."""
        if not self.keepalive_helps:
            raise PolicyError(
                f"{self.title} counts bytes of requests and responses, not packets, so keepalive cannot hold "
                f"its connections: raise its timeout of {self.idle_timeout} s, or send something meanwhile"
            )
        return Policy.for_idle_timeout(self.idle_timeout)


_AWS = "https://docs.aws.amazon.com/"
_AZURE = "https://learn.microsoft.com/en-us/azure/"

PRESETS: tuple[Preset, ...] = (
    Preset(
        "azure-lb",
        "Azure Load Balancer",
        240,
        "silent",
        _AZURE + "load-balancer/load-balancer-tcp-reset",
        "2026-11",
        (240, 6000),
    ),
    Preset(
        "azure-nat-gateway",
        "Azure NAT Gateway",
        240,
        "reset on next packet",
        _AZURE + "nat-gateway/nat-gateway-resource",
        "2026-11",
        (240, 7200),
    ),
    Preset(
        "azure-firewall",
        "Azure Firewall, to the internet",
        240,
        "reset at once",
        _AZURE + "firewall/tcp-session-behavior",
        "2026-11",
        (240, 900),
    ),
    Preset(
        "meraki",
        "Cisco Meraki MX",
        300,
        "silent",
        "https://github.com/haproxy/haproxy/pull/252",
        "2026-11",
    ),
    Preset(
        "aws-nat-gateway",
        "AWS NAT Gateway",
        350,
        "reset on next packet",
        "https://repost.aws/knowledge-center/vpc-troubleshoot-nat-gateway-connection",
        "2026-11",
    ),
    Preset(
        "aws-nlb",
        "AWS Network Load Balancer",
        350,
        "reset on next packet",
        _AWS + "elasticloadbalancing/latest/network/update-idle-timeout.html",
        "2026-11",
        (60, 6000),
    ),
    Preset(
        "aws-network-firewall",
        "AWS Network Firewall",
        350,
        "silent",
        _AWS + "network-firewall/latest/APIReference/API_FlowTimeouts.html",
        "2026-11",
        (60, 6000),
    ),
    Preset(
        "gcp-vpc",
        "Google Cloud VPC firewall",
        600,
        "silent",
        "https://cloud.google.com/compute/docs/troubleshooting",
        "2026-11",
    ),
    Preset(
        "ipvs",
        "Linux IPVS: kube-proxy in IPVS mode, Docker Swarm",
        900,
        "reset on next packet",
        "https://github.com/kubernetes/kubernetes/issues/84041",
        "2026-11",
    ),
    Preset(
        "gcp-nat",
        "Google Cloud NAT",
        1200,
        "silent",
        "https://cloud.google.com/nat/docs/tune-nat-configuration",
        "2026-11",
    ),
    Preset(
        "cisco-asa",
        "Cisco ASA and Firepower Threat Defense",
        3600,
        "silent",
        "https://www.cisco.com/c/en/us/support/docs/security/secure-firewall-asa/"
        "222075-configure-connection-timeout-for-specifi.html",
        "2026-11",
        (300, 4294800),
    ),
    Preset(
        "fortigate",
        "Fortinet FortiGate",
        3600,
        "silent",
        "https://community.fortinet.com/t5/FortiGate/"
        "Technical-Tip-Default-session-timeout-value-session-ttl/ta-p/194357",
        "2026-11",
        (300, 2764800),
    ),
    Preset(
        "palo-alto",
        "Palo Alto Networks PAN-OS",
        3600,
        "silent",
        "https://docs.paloaltonetworks.com/ngfw/networking/session-settings-and-timeouts/"
        "configure-session-timeouts/configure-session-timeouts-pan-os",
        "2026-11",
        (1, 15999999),
    ),
    Preset(
        "pfsense",
        "pfSense and other uses of pf",
        86400,
        "silent",
        "https://docs.netgate.com/pfsense/en/latest/config/advanced-firewall-nat.html",
        "2026-11",
        (18000, 432000),
    ),
    Preset(
        "linux-conntrack",
        "Linux nf_conntrack: iptables and nftables firewalls, EC2 security groups",
        432000,
        "silent",
        "https://docs.kernel.org/networking/nf_conntrack-sysctl.html",
        "2026-11",
    ),
    Preset(
        "aws-alb",
        "AWS Application Load Balancer",
        60,
        "answers with an error",
        _AWS + "elasticloadbalancing/latest/application/edit-load-balancer-attributes.html",
        "2026-11",
        (1, 4000),
        keepalive_helps=False,
    ),
    Preset(
        "nginx",
        "nginx as a reverse proxy (proxy_read_timeout), or waiting for a request",
        60,
        "answers with an error",
        "https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_read_timeout",
        "2026-11",
        keepalive_helps=False,
    ),
    Preset(
        "cloudflare",
        "Cloudflare, waiting for the origin's response",
        120,
        "answers with an error",
        "https://developers.cloudflare.com/fundamentals/reference/connection-limits/",
        "2026-11",
        keepalive_helps=False,
    ),
    Preset(
        "sshd",
        "OpenSSH server, waiting for the login (LoginGraceTime)",
        120,
        "closes",
        "https://man.openbsd.org/sshd_config#LoginGraceTime",
        "2026-11",
        keepalive_helps=False,
    ),
)

_BY_NAME = {preset.name: preset for preset in PRESETS}


def preset(name: str) -> Preset:
    """Return the row of that name. Raises PolicyError, which lists the names."""
    found = _BY_NAME.get(name.strip().lower())
    if found is None:
        raise PolicyError(f"there is no preset {name!r}: known are {_known()}")
    return found


def _known() -> str:
    return ", ".join(row.name for row in PRESETS if row.keepalive_helps)


def policy(name: str) -> Policy:
    """Return the policy for a preset. Raises PolicyError if there is none, or if keepalive does not help."""
    return preset(name).policy


def parse_policy(text: str) -> Policy:
    """Read what `--policy` takes: a preset's name, or IDLE:INTERVAL:COUNT[:USER_TIMEOUT] in seconds.

    Raises PolicyError.
    """
    if text.strip().lower() == "off":
        raise PolicyError(
            "'off' is no policy that could be set: to switch keptalive off, set KEPTALIVE_POLICY=off in the "
            "environment, or leave keptalive out of the command"
        )
    if ":" not in text and text.strip().lower() not in _BY_NAME:
        if guess := similar(text.strip(), _BY_NAME):
            raise PolicyError(f"{text!r} is not a policy: did you mean the preset {guess}?")
        raise PolicyError(
            f"{text!r} is not a policy: write IDLE:INTERVAL:COUNT[:USER_TIMEOUT] in seconds, e.g. 60:15:9, "
            f"or a preset's name: {_known()}"
        )
    return Policy.parse(text) if ":" in text else policy(text)


def fitting(timeout_low: float, timeout_high: float) -> tuple[Preset, ...]:
    """Return the presets whose timeout lies between two measured ones, give or take two per cent.

    Most are settings that anybody may have changed: a match is a hint, no proof.
    """
    slack = max(_TOLERANCE_AT_LEAST, _TOLERANCE * timeout_high)
    return tuple(row for row in PRESETS if timeout_low - slack <= row.idle_timeout <= timeout_high + slack)
