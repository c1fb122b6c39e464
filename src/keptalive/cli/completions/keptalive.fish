# fish completion for keptalive. Written by docs/generate.py.

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
complete -c keptalive -n __keptalive_first -a demo -d 'a firewall that forgets: plain clients lose, held ones do not'
complete -c keptalive -n __keptalive_first -a ps -d 'this machine\'s TCP connections: owner, timer, protected or not'
complete -c keptalive -n __keptalive_first -a attach -d 'turn keepalive on for the connections of a running program'
complete -c keptalive -n __keptalive_first -a run -d 'run any program, with keepalive on its whole process tree'
complete -c keptalive -n __keptalive_first -a probe -d 'how long a path lets a connection be idle, and what happens then'
complete -c keptalive -n __keptalive_first -a diagnose -d 'what kills a long request, and whether keepalive helps'
complete -c keptalive -n __keptalive_first -a serve -d 'the far end of a path of yours: idle listener, slow endpoint'
complete -c keptalive -n __keptalive_first -a lab -d 'the firewall that forgets, for your own tests'
complete -c keptalive -n __keptalive_first -a completion -d 'what teaches bash, zsh or fish to complete all of this'

# demo
complete -c keptalive -n '__keptalive_at demo' -s h -l help -d 'show this help message and exit'
complete -c keptalive -n '__keptalive_at demo' -l policy -x -a 'azure-lb azure-nat-gateway azure-firewall meraki aws-nat-gateway aws-nlb aws-network-firewall gcp-vpc ipvs gcp-nat cisco-asa fortigate palo-alto pfsense linux-conntrack' -d 'hold with IDLE:INTERVAL:COUNT in seconds, or a preset\'s (default 1:1:9, which fits)'
complete -c keptalive -n '__keptalive_at demo' -l engine -x -a 'kernel packet relay' -d 'the firewall\'s engine (default: the first that works here)'
complete -c keptalive -n '__keptalive_at demo' -l json -d 'print one JSON object'

# ps
complete -c keptalive -n '__keptalive_at ps' -s h -l help -d 'show this help message and exit'
complete -c keptalive -n '__keptalive_at ps' -s p -l pid -x -a '(__keptalive_processes)' -d 'of this process (may be repeated)'
complete -c keptalive -n '__keptalive_at ps' -l process -x -a '(__keptalive_processes | string replace -r "^\d+\t" "" | sort -u)' -d 'of processes of this name; * and ? as in the shell'
complete -c keptalive -n '__keptalive_at ps' -l remote -x -a '(__fish_print_hostnames)' -d 'to this host, this port (:PORT), or both'
complete -c keptalive -n '__keptalive_at ps' -l unprotected -d 'known to be unprotected; exit code 1 if there is one'
complete -c keptalive -n '__keptalive_at ps' -l no-loopback -d 'not those within this machine, where nothing is forgotten'
complete -c keptalive -n '__keptalive_at ps' -s a -l all -d 'listeners, half open ones and those in TIME-WAIT, too'
complete -c keptalive -n '__keptalive_at ps' -l netns -x -a '(__keptalive_processes)' -d 'in the network namespace of this process'
complete -c keptalive -n '__keptalive_at ps' -l exact -d 'idle, interval, count and user timeout, asked of the sockets where that is permitted'
complete -c keptalive -n '__keptalive_at ps' -l no-owner -d 'do not search /proc for the owners: faster'
complete -c keptalive -n '__keptalive_at ps' -l watch -d 'look again every second, or as often as said, and show what changes'
complete -c keptalive -n '__keptalive_at ps' -l json -d 'for programs'

# attach
complete -c keptalive -n '__keptalive_at attach' -s h -l help -d 'show this help message and exit'
complete -c keptalive -n '__keptalive_at attach' -s f -l follow -d 'stay until the program ends: new sockets are protected within a second or two, children too'
complete -c keptalive -n '__keptalive_at attach' -l policy -x -a 'azure-lb azure-nat-gateway azure-firewall meraki aws-nat-gateway aws-nlb aws-network-firewall gcp-vpc ipvs gcp-nat cisco-asa fortigate palo-alto pfsense linux-conntrack' -d 'IDLE:INTERVAL:COUNT[:USER_TIMEOUT] in seconds, or a preset\'s, set exactly; without it 45:15:9, which leaves alone what is protected as well or better'
complete -c keptalive -n '__keptalive_at attach' -l json -d 'for programs; with --follow one line a look'
complete -c keptalive -n '__keptalive_at attach' -x -a '(__keptalive_processes)' -d 'the running program'

# run
complete -c keptalive -n '__keptalive_at run; and test -z (__keptalive_program 2 --policy --summary | string collect)' -s h -l help -d 'show this help message and exit'
complete -c keptalive -n '__keptalive_at run; and test -z (__keptalive_program 2 --policy --summary | string collect)' -l policy -x -a 'azure-lb azure-nat-gateway azure-firewall meraki aws-nat-gateway aws-nlb aws-network-firewall gcp-vpc ipvs gcp-nat cisco-asa fortigate palo-alto pfsense linux-conntrack' -d 'set IDLE:INTERVAL:COUNT[:USER_TIMEOUT] in seconds, or a preset\'s, on every connection (default: 45:15:9, or KEPTALIVE_POLICY, where the program itself has not chosen better)'
complete -c keptalive -n '__keptalive_at run; and test -z (__keptalive_program 2 --policy --summary | string collect)' -l summary -r -F -d 'write to FILE, as JSON, which process was protected which way, and which was not, and why; kept up to date while the program runs'
complete -c keptalive -n '__keptalive_at run; and test -z (__keptalive_program 2 --policy --summary | string collect)' -s v -l verbose -d 'say on stderr what is going to be done'
complete -c keptalive -n '__keptalive_at run' -x -a '(__keptalive_beyond 2 --policy --summary)'

# probe
complete -c keptalive -n '__keptalive_at probe' -s h -l help -d 'show this help message and exit'
complete -c keptalive -n '__keptalive_at probe' -l precision -x -d 'width of the bracket around the timeout, as a part of it (default 0.01)'
complete -c keptalive -n '__keptalive_at probe' -l max -x -d 'the longest silence to try (default 720)'
complete -c keptalive -n '__keptalive_at probe' -l connections -x -d 'open so many at most; fewer take longer (default 50)'
complete -c keptalive -n '__keptalive_at probe' -l rate -x -d 'open so many connections a second, 0 for no limit (default 10)'
complete -c keptalive -n '__keptalive_at probe' -l tls -d 'do a TLS handshake, for servers that hang up on who is silent'
complete -c keptalive -n '__keptalive_at probe' -l http -x -d 'request PATH, whose answer is slow: for servers that let only pending requests be idle'
complete -c keptalive -n '__keptalive_at probe' -l report -r -F -d 'write a page to hand to whoever runs the network: HTML, one file, nothing from elsewhere'
complete -c keptalive -n '__keptalive_at probe' -l json -d 'print one JSON object'
complete -c keptalive -n '__keptalive_at probe' -x -a '(__fish_print_hostnames)' -d 'where to connect to; the port is 443 if none is given'

# diagnose
complete -c keptalive -n '__keptalive_at diagnose' -s h -l help -d 'show this help message and exit'
complete -c keptalive -n '__keptalive_at diagnose' -s X -l method -x -d 'default: GET, with --data POST'
complete -c keptalive -n '__keptalive_at diagnose' -s H -l header -x -d 'send this header; @FILE reads a line a header, and keeps secrets out of the command line'
complete -c keptalive -n '__keptalive_at diagnose' -s d -l data -x -d 'send this body; @FILE reads it, @- from stdin'
complete -c keptalive -n '__keptalive_at diagnose' -l twice -d 'send it plain as well, though it is neither GET nor HEAD'
complete -c keptalive -n '__keptalive_at diagnose' -l timeout -x -d 'default 3600'
complete -c keptalive -n '__keptalive_at diagnose' -l proxy -x -d 'go through this HTTP proxy; \'none\' ignores the environment\'s (http_proxy, https_proxy)'
complete -c keptalive -n '__keptalive_at diagnose' -l insecure -d 'trust any certificate'
complete -c keptalive -n '__keptalive_at diagnose' -l cacert -r -F -d 'trust the certificates of this file'
complete -c keptalive -n '__keptalive_at diagnose' -s o -l output -r -F -d 'keep the answer\'s body, if one comes'
complete -c keptalive -n '__keptalive_at diagnose' -l policy -x -a 'azure-lb azure-nat-gateway azure-firewall meraki aws-nat-gateway aws-nlb aws-network-firewall gcp-vpc ipvs gcp-nat cisco-asa fortigate palo-alto pfsense linux-conntrack' -d 'hold with IDLE:INTERVAL:COUNT in seconds, or a preset\'s (default 1:1:15: eager, to prove whether keepalive can help at all)'
complete -c keptalive -n '__keptalive_at diagnose' -l connections -x -d 'idle connections for the measurement meanwhile, 0 for none (default 20)'
complete -c keptalive -n '__keptalive_at diagnose' -l rate -x -d 'open so many of them a second, 0 for no limit (default 10)'
complete -c keptalive -n '__keptalive_at diagnose' -l report -r -F -d 'write a page to hand to whoever runs the network: HTML, one file, nothing from elsewhere'
complete -c keptalive -n '__keptalive_at diagnose' -l json -d 'print one JSON object'

# serve
complete -c keptalive -n '__keptalive_at serve' -s h -l help -d 'show this help message and exit'
complete -c keptalive -n '__keptalive_at serve' -l host -x -a '(__fish_print_hostnames)' -d 'listen at this address (default 127.0.0.1: this machine alone; 0.0.0.0 or :: for every network)'
complete -c keptalive -n '__keptalive_at serve' -l port -x -d 'listen at this port; 0 takes a free one (default 8080)'
complete -c keptalive -n '__keptalive_at serve' -l max-sleep -x -d 'the longest N of /sleep/N (default 3600)'
complete -c keptalive -n '__keptalive_at serve' -l max-connections -x -d 'reset who comes when so many are connected (default 200)'
complete -c keptalive -n '__keptalive_at serve' -l max-life -x -d 'reset a connection after that time, whatever it does (default 14400)'
complete -c keptalive -n '__keptalive_at serve' -l json -d 'print where it listens as one JSON object'

# lab run
complete -c keptalive -n '__keptalive_at lab; and test (count (commandline -opc)) -eq 2' -a run -d 'run a command on the client\'s side of the firewall'
complete -c keptalive -n '__keptalive_at lab run; and test -z (__keptalive_program 3 --fault --engine --speed | string collect)' -s h -l help -d 'show this help message and exit'
complete -c keptalive -n '__keptalive_at lab run; and test -z (__keptalive_program 3 --fault --engine --speed | string collect)' -l fault -x -a '(__keptalive_list idle-drop idle-reset idle-reset-both idle-close gateway-timeout probes-filtered nat-rebind one-way blackhole outage state-lost loss delay azure-lb azure-nat-gateway azure-firewall meraki aws-nat-gateway aws-nlb aws-network-firewall gcp-vpc ipvs gcp-nat cisco-asa fortigate palo-alto pfsense linux-conntrack aws-alb nginx cloudflare sshd)' -d 'what goes wrong (default idle-drop:5), or a preset; `keptalive lab faults` lists them'
complete -c keptalive -n '__keptalive_at lab run; and test -z (__keptalive_program 3 --fault --engine --speed | string collect)' -l engine -x -a 'kernel packet relay' -d 'default: the first that works here'
complete -c keptalive -n '__keptalive_at lab run; and test -z (__keptalive_program 3 --fault --engine --speed | string collect)' -l speed -x -d 'divide the fault\'s times by N (default 1)'
complete -c keptalive -n '__keptalive_at lab run; and test -z (__keptalive_program 3 --fault --engine --speed | string collect)' -l trace -d 'show the packets that matter on stderr: probes, answers, drops'
complete -c keptalive -n '__keptalive_at lab run' -x -a '(__keptalive_beyond 3 --fault --engine --speed)'

# lab relay
complete -c keptalive -n '__keptalive_at lab; and test (count (commandline -opc)) -eq 2' -a relay -d 'put the firewall between your program and a real server'
complete -c keptalive -n '__keptalive_at lab relay' -s h -l help -d 'show this help message and exit'
complete -c keptalive -n '__keptalive_at lab relay' -l to -x -a '(__fish_print_hostnames)' -d 'the server'
complete -c keptalive -n '__keptalive_at lab relay' -l listen -x -d 'an address of this machine; port 0 takes a free one (default 127.0.0.1:0: this machine alone)'
complete -c keptalive -n '__keptalive_at lab relay' -l fault -x -a '(__keptalive_list idle-drop idle-reset idle-reset-both idle-close gateway-timeout probes-filtered nat-rebind one-way blackhole outage state-lost loss delay azure-lb azure-nat-gateway azure-firewall meraki aws-nat-gateway aws-nlb aws-network-firewall gcp-vpc ipvs gcp-nat cisco-asa fortigate palo-alto pfsense linux-conntrack aws-alb nginx cloudflare sshd)' -d 'what goes wrong (default idle-drop:5)'
complete -c keptalive -n '__keptalive_at lab relay' -l speed -x -d 'divide the fault\'s times by N (default 1)'
complete -c keptalive -n '__keptalive_at lab relay' -l json -d 'print one JSON object a line'

# lab faults
complete -c keptalive -n '__keptalive_at lab; and test (count (commandline -opc)) -eq 2' -a faults -d 'list the faults and the presets'
complete -c keptalive -n '__keptalive_at lab faults' -s h -l help -d 'show this help message and exit'
complete -c keptalive -n '__keptalive_at lab faults' -l json -d 'print one JSON object'

# completion
complete -c keptalive -n '__keptalive_at completion' -s h -l help -d 'show this help message and exit'
complete -c keptalive -n '__keptalive_at completion' -x -a 'bash zsh fish' -d 'your shell'
