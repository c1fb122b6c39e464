"""`keptalive completion`: what teaches your shell to complete keptalive's verbs, options and values.

Rule: prints a file of `completions/`, and nothing else is done: docs/generate.py wrote it from the parsers.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from keptalive.cli.exits import Exit

_FILES = {"bash": "keptalive.bash", "zsh": "_keptalive", "fish": "keptalive.fish"}

_EPILOG = """\
Now and for every shell to come:
  bash  echo 'command -v keptalive >/dev/null &&
          source <(keptalive completion bash)' >> ~/.bashrc
  zsh   keptalive completion zsh > "${fpath[1]}/_keptalive", before compinit
  fish  keptalive completion fish > ~/.config/fish/completions/keptalive.fish
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the argument."""
    parser.epilog = _EPILOG
    shells = "{" + ",".join(_FILES) + "}"  # argparse's own, said in errors too
    parser.add_argument("shell", choices=tuple(_FILES), metavar=shells, help="your shell")


def run(args: argparse.Namespace) -> Exit:
    """Print the shell's file."""
    script = Path(__file__).parent / "completions" / _FILES[args.shell]
    sys.stdout.write(script.read_text("utf-8"))
    return Exit.OK
