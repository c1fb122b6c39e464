"""Completion for bash (4 or later), with or without the package bash-completion."""

from __future__ import annotations

from collections.abc import Iterable

from generating.grammar import Argument, Command

# kind -> the shell's words for it; "words", "list" and "" are answered in place
_ACTIONS = {
    "file": 'compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur"))',
    "pid": "__keptalive_pids",
    "process": "__keptalive_processes",
    "host": 'COMPREPLY=($(compgen -A hostname -- "$cur"))',
}

_HEAD = r"""# bash completion for keptalive. Written by docs/generate.py.

# Offer those of the words given that begin like the one that is being typed. Not with compgen -W, which
# expands its words: a process may call itself $(anything).
__keptalive_words() {
    local word
    for word; do
        if [[ $word == "$cur"* ]]; then
            printf -v word %q "$word"
            COMPREPLY+=("$word")
        fi
    done
}

# Offer the words given for the last of several values with commas between them. What stands before a ":" or
# "@" is no part of cur, and what stands behind one is a number, up to the comma. An "@" is replaced as well.
__keptalive_list() {
    local before= at= word
    [[ ${COMP_WORDS[COMP_CWORD-1]} == @ ]] && at=@
    if [[ $cur == *,* ]]; then
        before=${cur%,*},
    elif ((first < COMP_CWORD)); then
        return
    fi
    for word; do
        [[ $before$word == "$cur"* ]] && COMPREPLY+=("$at$before$word")
    done
}

# Put into `places` the processes that this user may look into: others hide their program, and the kernel's
# own threads run none.
__keptalive_look() {
    local place
    for place in /proc/[0-9]*; do
        [[ -e $place/exe ]] && places+=("$place")
    done
}

__keptalive_pids() {
    local places=()
    __keptalive_look
    __keptalive_words "${places[@]#/proc/}"
}

__keptalive_processes() {
    local places=() names
    __keptalive_look
    mapfile -t names < <(cat /dev/null "${places[@]/%//comm}" 2>/dev/null | sort -u)
    __keptalive_words "${names[@]}"
}

# Complete another program's command line, which begins at word $1.
__keptalive_command() {
    if declare -F _comp_command_offset >/dev/null; then
        _comp_command_offset "$1"
    elif declare -F _command_offset >/dev/null; then
        _command_offset "$1"
    elif ((COMP_CWORD == $1)); then
        COMPREPLY=($(compgen -c -- "$cur"))
    else
        compopt -o default
    fi
}

_keptalive() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]} at=2
    COMPREPLY=()
    # bash takes the "=" of --option=VALUE for a word.
    [[ $cur == = ]] && cur=
    [[ $prev == = ]] && prev=${COMP_WORDS[COMP_CWORD-2]}
    # And the ":" and "@" in a value: it begins at word $first, behind its option.
    local first=$COMP_CWORD option
    while ((first > 2)) && [[ ${COMP_WORDS[first]} == [:@] || ${COMP_WORDS[first-1]} == [:@] ]]; do
        ((first--))
    done
    option=${COMP_WORDS[first-1]}
    [[ $option == = ]] && option=${COMP_WORDS[first-2]}
    if ((COMP_CWORD == 1)); then
"""

_MIDDLE = r"""    # What follows -- or the first word that is no option is another program's.
    case $command in
        @RUNNERS@)
            while ((at < COMP_CWORD)); do
                case "$command ${COMP_WORDS[at]}" in
                    *" --") ((at++)); break ;;
                    @TAKING@)
                        [[ ${COMP_WORDS[at+1]} == = ]] && ((at++))
                        ((at += 2))
                        while [[ ${COMP_WORDS[at]} == [:@] ]]; do ((at += 2)); done
                        ;;
                    *" -"*) ((at++)) ;;
                    *) break ;;
                esac
            done
            if ((at < COMP_CWORD)) ||
                { ((at == COMP_CWORD)) && [[ ${COMP_WORDS[at-1]} == -- || $cur != -* ]]; }; then
                __keptalive_command "$at"
                return
            fi
            ;;
    esac
"""


def bash(commands: list[Command], verbs: Iterable[str]) -> str:
    """Return the script."""
    front = " ".join([*verbs, "-h", "--help", "--version"])
    groups: dict[str, list[str]] = {}
    for command in commands:
        verb, _, below = command.name.partition(" ")
        if below:
            groups.setdefault(verb, []).append(below)
    lines = [
        _HEAD.rstrip("\n"),
        f"        __keptalive_words {_one_a_word(front.split())}",
        "        return",
        "    fi",
    ]
    for verb, below in groups.items():
        lines += [
            f"    if [[ $command == {verb} ]]; then",
            "        if ((COMP_CWORD == 2)); then",
            f"            __keptalive_words {_one_a_word([*below, '-h', '--help'])}",
            "            return",
            "        fi",
            f'        command="{verb} ${{COMP_WORDS[2]}}" at=3',
            "    fi",
        ]
    runners = [command for command in commands if command.runs_a_command]
    taking = [f'"{c.name} {flag}"' for c in runners for one in c.options if one.value for flag in one.flags]
    middle = _MIDDLE.replace("@RUNNERS@", " | ".join(f'"{command.name}"' for command in runners))
    lines.append(middle.replace("@TAKING@", " | ".join(taking)).rstrip("\n"))
    lists, others = _values(commands)
    for of, offers in (("option", lists), ("prev", others)):
        lines.append(f'    case "$command ${of}" in')
        for offer, names in offers.items():
            lines += [
                f"        {' | '.join(names)})",
                f"            {offer}",
                "            return",
                "            ;;",
            ]
        lines.append("    esac")
    lines.append("    case $command in")
    for command in commands:
        flags = [flag for option in command.options for flag in option.flags]
        lines.append(f'        "{command.name}")')
        offers = [_offer(one) for one in command.positionals if one.kind not in ("", "command")]
        flagged = f"__keptalive_words {_one_a_word(flags)}"
        if offers:
            lines.append(f"            if [[ $cur == -* ]]; then {flagged}; else {offers[0]}; fi")
        else:
            lines.append(f"            {flagged}")
        lines.append("            ;;")
    lines += ["    esac", "}", "", "complete -F _keptalive keptalive"]
    return "\n".join(lines) + "\n"


def _values(commands: list[Command]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Return what completes the values of which options, written "verb --option": of lists, of others."""
    lists: dict[str, list[str]] = {}
    values: dict[str, list[str]] = {}
    for command in commands:
        for option in command.options:
            if option.value and not option.optional:
                names = [f'"{command.name} {flag}"' for flag in option.flags]
                which = lists if option.kind == "list" else values
                which.setdefault(_offer(option), []).extend(names)
    return lists, values


def _offer(argument: Argument) -> str:
    """Return the command that completes a value; ":" if there is nothing to offer."""
    if argument.kind in ("words", "list"):
        return f"__keptalive_{argument.kind} {_one_a_word(argument.words)}"
    return _ACTIONS.get(argument.kind, ":")


def _one_a_word(words: Iterable[str]) -> str:
    return " ".join(words)
