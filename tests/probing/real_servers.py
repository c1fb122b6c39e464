"""nginx, haproxy, sshd and squid at the far end of a lab's path, as Debian ships them.

Rule: only the seconds are ours: how long each server lets a silent connection be. Each runs in the foreground
inside the lab's own server side, ends with the lab, and leaves its files in a folder of the test's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import trustme

from keptalive.lab import Lab

_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
_READY_WITHIN = 20.0  # s

# The slow server answers /sleep/N: what a reverse proxy stands in front of.
_NGINX = """
daemon off;
master_process off;
user root;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 500; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_header_timeout {seconds}s;
  keepalive_timeout {seconds}s;
  ssl_certificate {folder}/server.pem;
  ssl_certificate_key {folder}/server.pem;
  server {{
    listen 0.0.0.0:7001;
    listen 0.0.0.0:7002 ssl;
    proxy_read_timeout {seconds}s;
    location / {{ proxy_pass http://{slow}; }}
  }}
}}
"""
_HAPROXY = """
global
  maxconn 1000
defaults
  timeout connect 5s
  timeout client {seconds}s
frontend raw
  mode tcp
  bind 0.0.0.0:7003
  default_backend raw
backend raw
  mode tcp
  timeout server {seconds}s
  server slow {slow}
frontend web
  mode http
  bind 0.0.0.0:7004
  default_backend web
backend web
  mode http
  timeout server {seconds}s
  server slow {slow}
"""
_SSHD = """
ListenAddress 0.0.0.0:7005
HostKey {folder}/host_key
PidFile none
UsePAM no
LoginGraceTime {seconds}
"""
_SQUID = """
http_port 0.0.0.0:7006
http_access allow all
request_start_timeout {seconds} seconds
client_idle_pconn_timeout {seconds} seconds
shutdown_lifetime 0 seconds
cache deny all
cache_log {folder}/squid.log
access_log none
pid_filename none
pinger_enable off
coredump_dir {folder}
"""
#: Debian's names of them, for those who lack one.
PACKAGES = "nginx-light haproxy openssh-server squid"
#: The ports of the servers.
NGINX, NGINX_TLS, HAPROXY_TCP, HAPROXY_HTTP, SSHD, SQUID = range(7001, 7007)
_PORTS = {
    "nginx": (NGINX, NGINX_TLS),
    "haproxy": (HAPROXY_TCP, HAPROXY_HTTP),
    "sshd": (SSHD,),
    "squid": (SQUID,),
}


def program(name: str) -> str | None:
    """Return the path of a server's program."""
    return shutil.which(name, path=_PATH)


def start_all(lab: Lab, folder: Path, seconds: int) -> None:
    """Start all of them, to close what is silent for so long; return when they accept connections."""
    for name in _STARTS:
        start(lab, name, folder, seconds)


def start(lab: Lab, name: str, folder: Path, seconds: int, *, near: bool = False) -> None:
    """Start one of them, at the far end or at the near one; return when it accepts connections."""
    folder.chmod(0o777)  # squid and sshd give up root's rights
    argv = _STARTS[name](folder, {"folder": folder, "seconds": seconds, "slow": f"{lab.host}:{lab.port}"})
    with (folder / f"{name}.out").open("w") as log:
        popen = lab.popen if near else lab.popen_server
        popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    for port in _PORTS[name]:
        _await(lab, ("127.0.0.1", port) if near else lab.reach(port), folder)
    # Squid's shared memory stays where it has it mapped; its name would outlive it, and be in another's way.
    for left in Path("/dev/shm").glob(f"{_service(folder)}-*"):
        left.unlink()


def _await(lab: Lab, address: tuple[str, int], folder: Path) -> None:
    deadline = time.monotonic() + _READY_WITHIN
    while True:
        with lab.client_socket() as sock:
            sock.settimeout(_READY_WITHIN)
            try:
                sock.connect(address)
            except ConnectionRefusedError:
                said = "\n".join(file.read_text() for file in folder.glob("*.out"))
                assert time.monotonic() < deadline, f"nobody listens at port {address[1]}:\n{said}"
            else:
                return
        time.sleep(0.05)


def _configured(folder: Path, name: str, template: str, values: dict[str, object]) -> str:
    file = folder / name
    file.write_text(template.format_map(values))
    return str(file)


def _nginx(folder: Path, values: dict[str, object]) -> list[str]:
    certificate = trustme.CA().issue_cert("server.example")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    return [program("nginx") or "", "-c", _configured(folder, "nginx.conf", _NGINX, values)]


def _haproxy(folder: Path, values: dict[str, object]) -> list[str]:
    return [program("haproxy") or "", "-db", "-f", _configured(folder, "haproxy.cfg", _HAPROXY, values)]


def _sshd(folder: Path, values: dict[str, object]) -> list[str]:
    key = folder / "host_key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True, timeout=30)
    argv = [program("sshd") or "", "-D", "-e", "-f", _configured(folder, "sshd_config", _SSHD, values)]
    if os.geteuid() != 0:
        return argv
    # As root it would want a folder in /run for its unprivileged half; as nobody it has no such half.
    os.chown(key, 65534, 65534)
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *argv]


def _squid(folder: Path, values: dict[str, object]) -> list[str]:
    file = _configured(folder, "squid.conf", _SQUID, values)
    return [program("squid") or "", "-N", "-n", _service(folder), "-f", file]


def _service(folder: Path) -> str:
    """Return a name for squid of its own in this folder: letters and digits only."""
    return "keptalive" + "".join(filter(str.isalnum, folder.name))


_STARTS: dict[str, Callable[[Path, dict[str, object]], list[str]]] = {
    "nginx": _nginx,
    "haproxy": _haproxy,
    "sshd": _sshd,
    "squid": _squid,
}
