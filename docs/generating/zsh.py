"""Completion for zsh (5 or later), as a function of its completion system."""

from __future__ import annotations

from collections.abc import Mapping

from generating.grammar import Argument, Command

_ACTIONS = {
    "file": "_files",
    "pid": "_keptalive_pids",
    "process": "_keptalive_names",
    "host": "_hosts",
}

_FRONT = r"""#compdef keptalive
# zsh completion for keptalive. Written by docs/generate.py.

_keptalive() {
    local curcontext="$curcontext" context state state_descr line
    typeset -A opt_args
    _arguments -C \
        '(- *)'{-h,--help}'[show this help message and exit]' \
        '(- *)--version[print the version]' \
        '1:verb:->verb' \
        '*::arguments:->arguments'
    case $state in
        verb)
"""

_LAST = r"""
# Print the processes that this user may look into: others hide their program, and the kernel's own threads
# run none.
_keptalive_places() {
    print -rl -- /proc/<->(Ne:'[[ -e $REPLY/exe ]]':)
}

_keptalive_pids() {
    local place
    local -a found_
    for place in ${(f)"$(_keptalive_places)"}; do
        found_+=("${place:t}:$(<$place/comm)")
    done 2>/dev/null
    _describe -t processes process found_
}

_keptalive_names() {
    local expl
    local -a places_ names_
    places_=(${(f)"$(_keptalive_places)"})
    names_=(${(fu)"$(cat /dev/null ${^places_}/comm 2>/dev/null)"})
    _wanted processes-names expl 'process name' compadd -a names_
}

# Autoloaded from a directory of $fpath this is the function's body; sourced, it has to be registered.
if [[ ${funcstack[1]} == _keptalive ]]; then
    _keptalive "$@"
else
    compdef _keptalive keptalive
fi
"""


def zsh(commands: list[Command], verbs: Mapping[str, str]) -> str:
    """Return the script."""
    groups: dict[str, list[Command]] = {}
    for command in commands:
        groups.setdefault(command.name.partition(" ")[0], []).append(command)
    lines = [_FRONT.rstrip("\n"), *_described("verb", verbs, 12), "            ;;", "        arguments)"]
    lines += [
        '            curcontext="${curcontext%:*:*}:keptalive-$words[1]:"',
        "            case $words[1] in",
    ]
    for verb in groups:
        lines.append(f"                {verb}) _keptalive_{verb.replace('-', '_')} ;;")
    lines += ["            esac", "            ;;", "    esac", "}"]
    for verb, these in groups.items():
        lines += ["", f"_keptalive_{verb.replace('-', '_')}() {{"]
        if these[0].name == verb:
            lines += _arguments(these[0], 4)
        else:
            lines += _below(verb, these)
        lines.append("}")
    return "\n".join(lines) + "\n" + _LAST


def _below(verb: str, commands: list[Command]) -> list[str]:
    """Return the body of a verb's function that has verbs below it."""
    names = {command.name.partition(" ")[2]: command.summary for command in commands}
    lines = [
        '    local curcontext="$curcontext" context state state_descr line',
        "    typeset -A opt_args",
        "    _arguments -C \\",
        "        '(- *)'{-h,--help}'[show this help message and exit]' \\",
        "        '1:verb:->verb' \\",
        "        '*::arguments:->arguments'",
        "    case $state in",
        "        verb)",
        *_described("verb", names, 12),
        "            ;;",
        "        arguments)",
        f'            curcontext="${{curcontext%:*:*}}:keptalive-{verb}-$words[1]:"',
        "            case $words[1] in",
    ]
    for command in commands:
        lines += [
            f"                {command.name.partition(' ')[2]})",
            *_arguments(command, 20),
            "                    ;;",
        ]
    return [*lines, "            esac", "            ;;", "    esac"]


def _described(tag: str, words: Mapping[str, str], margin: int) -> list[str]:
    """Return the lines that offer words with what they mean."""
    entries = [_quoted(f"{word}:{text}") for word, text in words.items()]
    pad = " " * margin
    return [
        f"{pad}local -a words_",
        f"{pad}words_=(",
        *(f"{pad}    {entry}" for entry in entries),
        f"{pad})",
        f"{pad}_describe -t {tag}s {tag} words_",
    ]


def _arguments(command: Command, margin: int) -> list[str]:
    pad = " " * margin
    specs = [spec for one in command.options for spec in _option(one)]
    specs += [_positional(number, one) for number, one in enumerate(command.positionals, 1) if one.kind]
    return [
        f"{pad}_arguments -s -S : \\",
        *(f"{pad}    {spec} \\" for spec in specs[:-1]),
        f"{pad}    {specs[-1]}",
    ]


def _option(option: Argument) -> list[str]:
    value = ""
    if option.value:
        colon = "::" if option.optional else ":"
        value = f"{colon}{_escaped(option.value)}:{_action(option)}"
    text = f"[{_escaped(option.help)}]{value}"
    others = "- *" if "--help" in option.flags else " ".join(option.flags)
    specs = []
    for flag in option.flags:
        # "=" lets a long option's value stand in the same word, too.
        joined = f"{flag}=" if option.value and flag.startswith("--") else flag
        specs.append(_quoted(("*" if option.repeats else f"({others})") + joined + text))
    return specs


def _positional(number: int, one: Argument) -> str:
    if one.kind == "command":
        return "'(-)1: :_command_names -e' '*:: :_normal'"
    return _quoted(f"{'*' if one.repeats else number}:{_escaped(one.value)}:{_action(one)}")


def _action(one: Argument) -> str:
    if one.kind == "words":
        return f"({' '.join(one.words)})"
    if one.kind == "list":
        return f"_sequence compadd - {' '.join(one.words)}"
    return _ACTIONS.get(one.kind, " ")


def _escaped(text: str) -> str:
    """Return text for a part of a specification, in which colons and brackets separate."""
    return "".join(f"\\{letter}" if letter in "\\:[]" else letter for letter in text)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
