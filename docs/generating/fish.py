"""Completion for fish (3 or later)."""

from __future__ import annotations

from collections.abc import Mapping

from generating.grammar import Argument, Command

_ACTIONS = {
    "file": "-r -F",
    "pid": "-x -a '(__keptalive_processes)'",
    "process": '-x -a \'(__keptalive_processes | string replace -r "^\\d+\\t" "" | sort -u)\'',
    "host": "-x -a '(__fish_print_hostnames)'",
}

_HEAD = r"""# fish completion for keptalive. Written by docs/generate.py.

# Succeed if the words typed so far begin with those given.
function __keptalive_at
    set -l words (commandline -opc)
    test (count $words) -gt (count $argv); or return 1
    for i in (seq (count $argv))
        set -l at (math $i + 1)
        test "$words[$at]" = "$argv[$i]"; or return 1
    end
end

# Print -- and the words of another program's command line: it follows --, or begins with the first word
# that is neither an option nor the value of one. The first N words are ours; the others take a value.
function __keptalive_program -a first
    set -l words (commandline -opc)
    set -e words[1..$first]
    while set -q words[1]
        if contains -- "$words[1]" $argv[2..-1]
            set -e words[1]
        else if test "$words[1]" = --
            string join \n -- -- $words[2..-1]
            return
        else if not string match -q -- '-*' "$words[1]"
            string join \n -- -- $words
            return
        end
        set -e words[1]
    end
end

# Complete such a command line as fish would if it stood alone.
function __keptalive_beyond
    set -l words (__keptalive_program $argv)
    set -l typed (commandline -ct)
    if set -q words[1]; or not string match -q -- '-*' "$typed"
        complete --do-complete=(string join ' ' -- (string escape -- $words[2..-1]) "$typed")
    end
end

# Succeed if nothing but keptalive itself has been typed.
function __keptalive_first
    test (count (commandline -opc)) -eq 1
end

# Print number and name of the processes that this user may look into: others hide their program, and the
# kernel's own threads run none.
function __keptalive_processes
    for place in (string match -r '^/proc/\d+$' -- /proc/*)
        test -e $place/exe; or continue
        begin
            read -l name <$place/comm; and printf '%s\t%s\n' (string sub -s 7 -- $place) $name
        end 2>/dev/null
    end
end

# Print the words given, each behind what the list that is being typed holds before its last comma.
function __keptalive_list
    set -l before (string match -r '^.*,' -- (commandline -ct))
    if set -q before[1]
        printf '%s\n' $before$argv
    else
        printf '%s\n' $argv
    end
end

complete -c keptalive -f
complete -c keptalive -n __keptalive_first -s h -l help -d 'show this help message and exit'
complete -c keptalive -n __keptalive_first -l version -d 'print the version'
"""


def fish(commands: list[Command], verbs: Mapping[str, str]) -> str:
    """Return the script."""
    lines = [_HEAD.rstrip("\n")]
    lines += [
        f"complete -c keptalive -n __keptalive_first -a {verb} -d {_quoted(text)}"
        for verb, text in verbs.items()
    ]
    for command in commands:
        verb, _, below = command.name.partition(" ")
        lines += ["", f"# {command.name}"]
        if below:
            alone = f"__keptalive_at {verb}; and test (count (commandline -opc)) -eq 2"
            lines.append(f"complete -c keptalive -n '{alone}' -a {below} -d {_quoted(command.summary)}")
        condition = f"__keptalive_at {command.name}"
        taking = [flag for option in command.options if option.value for flag in option.flags]
        words = 1 + len(command.name.split())
        given = " ".join([str(words), *taking])
        if command.runs_a_command:
            condition += f"; and test -z (__keptalive_program {given} | string collect)"
        at = f"-n '{condition}'"
        for option in command.options:
            flags = " ".join(_flag(flag) for flag in option.flags)
            value = f" {_offer(option)}" if option.value and not option.optional else ""
            lines.append(f"complete -c keptalive {at} {flags}{value} -d {_quoted(option.help)}")
        for one in command.positionals:
            if one.kind == "command":
                rest = f"(__keptalive_beyond {given})"
                lines.append(f"complete -c keptalive -n '__keptalive_at {command.name}' -x -a '{rest}'")
            elif one.kind:
                lines.append(f"complete -c keptalive {at} {_offer(one)} -d {_quoted(one.help)}")
    return "\n".join(lines) + "\n"


def _flag(flag: str) -> str:
    return f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}"


def _offer(argument: Argument) -> str:
    if argument.kind == "words":
        return f"-x -a {_quoted(' '.join(argument.words))}"
    if argument.kind == "list":
        return f"-x -a {_quoted('(__keptalive_list ' + ' '.join(argument.words) + ')')}"
    return _ACTIONS.get(argument.kind, "-x")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
