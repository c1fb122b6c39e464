"""The page of what explain() may say."""

from __future__ import annotations

import textwrap

from keptalive.diagnosis.exceptions import MAY_FOLLOW_A_LOSS, SENTENCES, TIME_LIMITS, TRIED_BEFORE


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
    names = ", ".join(f"`{cause}`" for cause in MAY_FOLLOW_A_LOSS)
    added = (
        f"aiohttp sends a GET a second time by itself. If that is what failed, these say so: {names}. To "
        f'`what` is added "{TRIED_BEFORE[0]}", to `hint` "{TRIED_BEFORE[1]} ...", and keepalive may help.'
    )
    return "\n".join([*lines, "", *textwrap.wrap(added, 110, break_on_hyphens=False)]) + "\n"
