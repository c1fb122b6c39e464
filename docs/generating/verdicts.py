"""The pages of what a diagnosis may say: one a verdict, and the list of them."""

from __future__ import annotations

from collections import defaultdict

from keptalive.cli.exits import Exit
from keptalive.diagnosis.remedies import MEANINGS
from keptalive.diagnosis.result import Verdict
from keptalive.diagnosis.snippets import code_for
from keptalive.policy import Policy

_HELPS = {True: "yes", False: "no", None: "that was not told"}
_EXITS = {"fine": Exit.OK, "problem": Exit.PROBLEM, "unknown": Exit.UNKNOWN}
_WHO = {
    "client": "Whoever runs the program",
    "network": "Whoever runs the network",
    "server": "Whoever runs the server",
    "proxy": "Whoever runs the proxy or gateway",
}
_EXAMPLE = Policy.for_idle_timeout(300)


def verdicts() -> str:
    """Return the list of verdicts."""
    lines = [
        "# Verdicts",
        "",
        "What `keptalive diagnose` and `keptalive.diagnose()` may say. Where the evidence fits more than one",
        "cause, the others are named too (`also_possible`). Written from `keptalive/diagnosis/remedies.py`.",
        "",
        "| verdict | what it says | does keepalive help? | exit code |",
        "|---|---|---|---|",
    ]
    for name, meaning in MEANINGS.items():
        lines.append(
            f"| [`{name}`](verdicts/{name}.md) | {_sentence(name)} | {_HELPS[meaning.helps]} "
            f"| {int(_EXITS[meaning.exit])} |"
        )
    lines += [
        "",
        "How often it is right: [the confusion matrix](../explanation/how-a-diagnosis-decides.md).",
        "",
        "```{toctree}",
        ":hidden:",
        ":glob:",
        "",
        "verdicts/*",
        "```",
    ]
    return "\n".join(lines) + "\n"


def verdict(name: Verdict) -> str:
    """Return the page of one verdict."""
    meaning = MEANINGS[name]
    lines = [
        f"# {name}",
        "",
        f"> {_sentence(name)}",
        "",
        meaning.explanation,
        "",
        "## How it is told",
        "",
        meaning.seen,
        "",
        "## Does keepalive help?",
        "",
        f"{_HELPS[meaning.helps].capitalize()}.",
    ]
    if meaning.helps:
        lines += [
            "",
            f"With a policy that fits the path; for one that forgets after five minutes, `{_EXAMPLE}`:",
            "",
            "```text",
            *code_for(_EXAMPLE).values(),
            "```",
        ]
    lines += ["", "## What to do"]
    for step in meaning.steps:
        lines += ["", f"**{_WHO[step.who]}.** {step.what}"]
    lines += ["", f"Exit code {int(_EXITS[meaning.exit])}. [All verdicts](../verdicts.md)."]
    return "\n".join(lines) + "\n"


def _sentence(name: Verdict) -> str:
    """Return a verdict's sentence without figures."""
    return MEANINGS[name].sentence.format_map(defaultdict(str, status="504"))
