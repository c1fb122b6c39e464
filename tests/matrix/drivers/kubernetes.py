"""kubernetes: which version the API server has."""

from __future__ import annotations

import json

import keptalive
from matrix.cells import KEEPING, Target
from matrix.drivers.base import Sdk
from matrix.server import ANSWER

_VERSION = ("major", "minor", "gitVersion", "gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler")


class Kubernetes(Sdk):
    needs = ("kubernetes",)
    ways = ("held", "installed", "own", "switch")
    switch = "30:15:9"

    @classmethod
    def answer(cls) -> str:
        return json.dumps(dict.fromkeys((*_VERSION, "platform"), "slept"))

    async def open(self) -> Target:
        from kubernetes import client

        configuration = client.Configuration(host=self.cell.url)
        if self.cell.variant == "own":
            configuration.socket_options = keptalive.socket_options(keptalive.Policy.parse(KEEPING))
        if self.cell.variant == "switch":
            configuration.keep_alive = True
        return client.ApiClient(configuration)

    async def fetch(self, target: Target) -> str:
        from kubernetes import client

        return ANSWER if client.VersionApi(target).get_code().git_version == "slept" else ""
