"""The page of what explain() may say."""

from __future__ import annotations

from keptalive.diagnosis.exceptions import SENTENCES, TIME_LIMITS


def explanations() -> str:
    """Return the page of what explain() may say."""
    rows = [(cause, *words) for cause, words in SENTENCES.items()]
    rows += [("client-timeout", *words) for words in TIME_LIMITS.values()]
    lines = [
        "# What explain() says",
        "",
        "Every value of `Explanation.cause`, with its sentence (`what`, also its `str()`), whether keepalive",
        "may help, and the hint. Written from `keptalive/diagnosis/exceptions.py`;",
        "[how to use it](../howto/explain-an-exception.md).",
        "",
        "| `cause` | `what` | may keepalive help? | `hint` |",
        "|---|---|---|---|",
        *(
            f"| `{cause}` | {what} | {'yes' if helps else 'no'} | {hint} |"
            for cause, what, helps, hint in rows
        ),
    ]
    return "\n".join(lines) + "\n"
