# bash completion for keptalive. Written by docs/generate.py.

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
        __keptalive_words demo ps attach run probe diagnose serve lab completion -h --help --version
        return
    fi
    if [[ $command == lab ]]; then
        if ((COMP_CWORD == 2)); then
            __keptalive_words run relay faults -h --help
            return
        fi
        command="lab ${COMP_WORDS[2]}" at=3
    fi
    # What follows -- or the first word that is no option is another program's.
    case $command in
        "run" | "lab run")
            while ((at < COMP_CWORD)); do
                case "$command ${COMP_WORDS[at]}" in
                    *" --") ((at++)); break ;;
                    "run --policy" | "run --summary" | "lab run --fault" | "lab run --engine" | "lab run --speed")
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
    case "$command $option" in
        "lab run --fault" | "lab relay --fault")
            __keptalive_list idle-drop idle-reset idle-reset-both idle-close gateway-timeout probes-filtered nat-rebind one-way blackhole outage state-lost loss delay azure-lb azure-nat-gateway azure-firewall meraki aws-nat-gateway aws-nlb aws-network-firewall gcp-vpc ipvs gcp-nat cisco-asa fortigate palo-alto pfsense linux-conntrack aws-alb nginx cloudflare sshd
            return
            ;;
    esac
    case "$command $prev" in
        "demo --policy" | "attach --policy" | "run --policy" | "diagnose --policy")
            __keptalive_words azure-lb azure-nat-gateway azure-firewall meraki aws-nat-gateway aws-nlb aws-network-firewall gcp-vpc ipvs gcp-nat cisco-asa fortigate palo-alto pfsense linux-conntrack
            return
            ;;
        "demo --engine" | "lab run --engine")
            __keptalive_words kernel packet relay
            return
            ;;
        "ps -p" | "ps --pid" | "ps --netns")
            __keptalive_pids
            return
            ;;
        "ps --process")
            __keptalive_processes
            return
            ;;
        "ps --remote" | "serve --host" | "lab relay --to")
            COMPREPLY=($(compgen -A hostname -- "$cur"))
            return
            ;;
        "run --summary" | "probe --report" | "diagnose --cacert" | "diagnose -o" | "diagnose --output" | "diagnose --report")
            compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur"))
            return
            ;;
        "probe --precision" | "probe --max" | "probe --connections" | "probe --rate" | "probe --http" | "diagnose -X" | "diagnose --method" | "diagnose -H" | "diagnose --header" | "diagnose -d" | "diagnose --data" | "diagnose --timeout" | "diagnose --proxy" | "diagnose --connections" | "diagnose --rate" | "serve --port" | "serve --max-sleep" | "serve --max-connections" | "serve --max-life" | "lab run --speed" | "lab relay --listen" | "lab relay --speed")
            :
            return
            ;;
    esac
    case $command in
        "demo")
            __keptalive_words -h --help --policy --engine --json
            ;;
        "ps")
            __keptalive_words -h --help -p --pid --process --remote --unprotected --no-loopback -a --all --netns --exact --no-owner --watch --json
            ;;
        "attach")
            if [[ $cur == -* ]]; then __keptalive_words -h --help -f --follow --policy --json; else __keptalive_pids; fi
            ;;
        "run")
            __keptalive_words -h --help --policy --summary -v --verbose
            ;;
        "probe")
            if [[ $cur == -* ]]; then __keptalive_words -h --help --precision --max --connections --rate --tls --http --report --json; else COMPREPLY=($(compgen -A hostname -- "$cur")); fi
            ;;
        "diagnose")
            __keptalive_words -h --help -X --method -H --header -d --data --twice --timeout --proxy --insecure --cacert -o --output --policy --connections --rate --report --json
            ;;
        "serve")
            __keptalive_words -h --help --host --port --max-sleep --max-connections --max-life --json
            ;;
        "lab run")
            __keptalive_words -h --help --fault --engine --speed --trace
            ;;
        "lab relay")
            __keptalive_words -h --help --to --listen --fault --speed --json
            ;;
        "lab faults")
            __keptalive_words -h --help --json
            ;;
        "completion")
            if [[ $cur == -* ]]; then __keptalive_words -h --help; else __keptalive_words bash zsh fish; fi
            ;;
    esac
}

complete -F _keptalive keptalive
