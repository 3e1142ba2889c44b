# shellcheck shell=bash
# Does a server answer? Bash's /dev/tcp only: a fresh machine has neither curl nor a client of the servers.

# port_open HOST PORT
port_open() { (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null; }

# amqp_answers HOST PORT: sends the AMQP 0-9-1 protocol header; a broker that is ready answers with a method frame (type 1).
amqp_answers() {
    (
        exec 3<>"/dev/tcp/$1/$2" || exit 1
        printf 'AMQP\0\0\x09\x01' >&3
        LC_ALL=C IFS= read -r -n 1 -t 3 kind <&3 && [[ $kind == $'\x01' ]]
    ) 2>/dev/null
}

# http_ok HOST PORT PATH USER PASSWORD: GET with basic authentication answers 200.
http_ok() {
    local credentials
    credentials=$(printf '%s:%s' "$4" "$5" | base64 -w 0)
    (
        exec 3<>"/dev/tcp/$1/$2" || exit 1
        printf 'GET %s HTTP/1.0\r\nHost: %s\r\nAuthorization: Basic %s\r\n\r\n' "$3" "$1" "$credentials" >&3
        read -r -t 5 status <&3 && [[ $status == HTTP/1.?" 200"* ]]
    ) 2>/dev/null
}

# process_has PID TEXT: the process lives and its command line contains TEXT. A pid file alone proves nothing: after a
# reboot the number may belong to anyone.
process_has() {
    [[ $1 =~ ^[0-9]+$ && -r /proc/$1/cmdline ]] || return 1
    tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline" | grep -qF -- "$2"
}

# wait_until SECONDS COMMAND...: polls; these servers have no event that a shell could await.
wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < deadline)) || return 1
        sleep 0.1
    done
}
