"""The code that holds a client with the policy which a diagnosis came to.

Rule: a line a client, ready to be copied. None has a limit that ends a slow answer, and none waits for ever.
"""

from __future__ import annotations

import math

from keptalive.policy import Policy

# Clients, and how each is held, once `policy` is there. Of their own accord httpx, aiohttp, boto3 and openai
# wait for 5 to 600 s, the others for ever.
_CODE: dict[str, str] = {
    "requests": "session = keptalive.hold(requests.Session(), policy)  # session.get(url, timeout={limit})",
    "httpx": "client = keptalive.hold(httpx.Client(timeout={limit}), policy)",
    "aiohttp": "session = keptalive.hold("
    "aiohttp.ClientSession(timeout=aiohttp.ClientTimeout({limit})), policy)",
    "urllib3": "pools = keptalive.hold(urllib3.PoolManager(timeout={limit}), policy)",
    "http.client": "connection = keptalive.hold(http.client.HTTPSConnection(host, timeout={limit}), policy)",
    "boto3": 'client = keptalive.hold(boto3.client("lambda", config=Config(read_timeout={limit})), policy)',
    "openai": "client = keptalive.hold(openai.OpenAI(timeout={limit}), policy)",
    "any Python program": "keptalive.install(policy)",
}
_LIMIT = 900  # s; longer than that run few requests, AWS's longest function among them
_ANY_PROGRAM = "keptalive run --policy {policy} -- COMMAND ..."


def code_for(policy: Policy | None, waited: float = 0.0) -> dict[str, str]:
    """Return the lines that hold each client with *policy*, and wait for twice *waited* seconds at least."""
    if policy is None:
        return {}
    limit = max(_LIMIT, math.ceil(2 * waited / 100) * 100)
    return {
        "first": f"policy = {as_python(policy)}",
        **{client: line.format(limit=limit) for client, line in _CODE.items()},
        "any other program": _ANY_PROGRAM.format(policy=policy),
    }


def as_python(policy: Policy) -> str:
    """Return a policy as one writes it in Python."""
    timeout = "" if policy.user_timeout is None else f", user_timeout={policy.user_timeout:g}"
    return f"keptalive.Policy(idle={policy.idle}, interval={policy.interval}, count={policy.count}{timeout})"
