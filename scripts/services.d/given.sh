# shellcheck shell=bash
# Servers that somebody else runs, named by DATABASE_URL and AMQP_URL: checked, never started or stopped.

# Our own addresses, exported by `eval "$(scripts/services env)"`, do not make our servers somebody else's: the random
# password gives them away even when the port has changed since.
servers_are_given() {
    [[ -n ${DATABASE_URL:-}${AMQP_URL:-} ]] || return 1
    if [[ -n $POSTGRES_PASSWORD && ${DATABASE_URL:-} == *":$POSTGRES_PASSWORD@"* ]] ||
        [[ -n $RABBITMQ_PASSWORD && ${AMQP_URL:-} == *":$RABBITMQ_PASSWORD@"* ]]; then
        return 1
    fi
    [[ -z ${DATABASE_URL:-} || -z ${AMQP_URL:-} ]] || return 0
    say "only one of DATABASE_URL and AMQP_URL is set: both are ignored, the project's own servers are used"
    return 1
}

given_up() {
    given_wait DATABASE_URL 5432
    given_wait AMQP_URL 5672
    say "using the servers that DATABASE_URL and AMQP_URL name; their logs are where their owner keeps them"
}

# given_wait VARIABLE DEFAULT_PORT
given_wait() {
    local host port
    read -r host port < <(address_of "${!1}" "$2")
    # A socket directory (postgres:///name?host=/run/postgresql) is for the client to find.
    [[ -n $host ]] || return 0
    wait_until 30 port_open "$host" "$port" ||
        die "$1 is set, but nothing answers at $host port $port (unset DATABASE_URL and AMQP_URL to use the project's own servers)"
}

# address_of URL DEFAULT_PORT: prints host and port.
address_of() {
    local rest=${1#*://}
    rest=${rest%%[/?]*}
    rest=${rest##*@}
    if [[ $rest =~ ^\[(.*)\](:([0-9]+))?$ ]]; then
        echo "${BASH_REMATCH[1]} ${BASH_REMATCH[3]:-$2}"
    elif [[ $rest == *:* ]]; then
        echo "${rest%:*} ${rest##*:}"
    else
        echo "$rest ${rest:+$2}"
    fi
}

given_env() {
    printf 'export DATABASE_URL=%q AMQP_URL=%q\n' "$DATABASE_URL" "$AMQP_URL"
    if [[ -n ${AMQP_MANAGEMENT_URL:-} ]]; then
        printf 'export AMQP_MANAGEMENT_URL=%q\n' "$AMQP_MANAGEMENT_URL"
    elif given_management_answers; then
        printf 'export AMQP_MANAGEMENT_URL=%q\n' "$(given_management_url)"
    else
        # The demo then uses the virtual host of AMQP_URL itself; the tests cannot do without.
        say "AMQP_MANAGEMENT_URL is not set and nothing answers at port 15672 of the host of AMQP_URL: no management API"
    fi
}

given_management_answers() {
    local host
    read -r host _ < <(address_of "$AMQP_URL" 5672)
    port_open "$host" 15672
}

given_management_url() {
    local rest=${AMQP_URL#*://} host
    rest=${rest%%[/?]*}
    read -r host _ < <(address_of "$AMQP_URL" 5672)
    [[ $host != *:* ]] || host="[$host]"
    case $rest in
    *@*) echo "http://${rest%@*}@$host:15672" ;;
    *) echo "http://guest:guest@$host:15672" ;;
    esac
}

given_status() {
    local variable default host port all_up=0
    for variable in DATABASE_URL AMQP_URL; do
        [[ $variable == DATABASE_URL ]] && default=5432 || default=5672
        read -r host port < <(address_of "${!variable}" "$default")
        if [[ -z $host ]] || port_open "$host" "$port"; then
            echo "$variable given up host=$host port=$port"
        else
            echo "$variable given down host=$host port=$port"
            all_up=3
        fi
    done
    return "$all_up"
}

given_down() { say "DATABASE_URL and AMQP_URL name servers that are not ours: left running"; }
given_wipe() { die "DATABASE_URL and AMQP_URL name servers that are not ours: nothing deleted"; }
given_start() { given_refuse; }
given_stop() { given_refuse; }
given_restart() { given_refuse; }

# Exit status 4, so that a fault test can tell "not allowed here" from "did not work".
given_refuse() {
    say "DATABASE_URL and AMQP_URL name servers that are not ours to start or stop"
    exit 4
}
