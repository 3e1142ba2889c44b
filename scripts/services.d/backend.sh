# shellcheck shell=bash
# Which servers serve this checkout: those on the machine, Docker's, or packages yet to be installed.
# shellcheck disable=SC2154 # checkout, instance and local_dir come from state.sh and scripts/services

backend_up() {
    choose_backend
    ensure_secrets
    if [[ $BACKEND == docker ]]; then
        docker_up
    else
        ensure_data_dir "$(postgres_user)" "$(rabbitmq_user)"
        save_state
        postgres_start
        rabbitmq_start
    fi
    say "PostgreSQL on 127.0.0.1:$POSTGRES_PORT, RabbitMQ on 127.0.0.1:$RABBITMQ_PORT (management: $RABBITMQ_MANAGEMENT_PORT)"
    backend_say_logs
}

# Sets BACKEND. What was chosen before stays, as long as it can still be had: the data is there.
choose_backend() {
    [[ $BACKEND == local ]] && installed && return
    [[ $BACKEND == docker ]] && docker_runs && return
    if installed; then
        BACKEND=local
    elif docker_runs && docker_has_images; then
        BACKEND=docker
    elif install_packages && installed; then
        BACKEND=local
    else
        explain_what_is_missing
        exit 1
    fi
}

installed() { postgres_bin >/dev/null && rabbitmq_bin >/dev/null; }

install_packages() {
    local packages=()
    postgres_bin >/dev/null || packages+=(postgresql)
    rabbitmq_bin >/dev/null || packages+=(rabbitmq-server)
    "$checkout/scripts/packages" --dormant "${packages[@]}"
}

explain_what_is_missing() {
    local missing=()
    postgres_bin >/dev/null || missing+=('PostgreSQL 15 or later (postgresql)')
    rabbitmq_bin >/dev/null || missing+=('RabbitMQ 3.10 or later (rabbitmq-server)')
    say "install ${missing[0]}${missing[1]:+ and ${missing[1]}}; or start a Docker engine with the compose plug-in;" \
        "or set DATABASE_URL and AMQP_URL. Then try again"
}

backend_down() {
    case $BACKEND in
    docker) docker_down ;;
    local) rabbitmq_stop && postgres_stop ;;
    esac
    say "both servers are down; the data stays (scripts/services wipe deletes it)"
}

backend_wipe() {
    case $BACKEND in
    docker) docker_wipe ;;
    local)
        rabbitmq_stop && postgres_stop
        rm -rf -- "${DATA_DIR:?}"
        ;;
    esac
    rm -rf "$local_dir"
    say "servers, data, ports and passwords are gone"
}

backend_start() {
    [[ -n $BACKEND ]] || die "nothing is set up yet: run scripts/services up"
    if [[ $BACKEND == docker ]]; then docker_start "$1"; else "$1_start"; fi
}

backend_stop() {
    [[ -n $BACKEND ]] || die "nothing is set up yet: run scripts/services up"
    if [[ $BACKEND == docker ]]; then docker_stop "$1"; else "$1_stop"; fi
}

backend_status() {
    if [[ -z $BACKEND ]]; then
        echo 'postgres down (not set up)'
        echo 'rabbitmq down (not set up)'
        return 3
    fi
    if [[ $BACKEND == docker ]]; then
        docker_status
    else
        local_status
    fi
}

# The words "pid=…" are for tests that kill a server.
local_status() {
    local all_up=0 pid
    if pid=$(postgres_pid) && port_open 127.0.0.1 "$POSTGRES_PORT"; then
        echo "postgres up pid=$pid port=$POSTGRES_PORT log=$(postgres_log)"
    else
        echo "postgres down port=$POSTGRES_PORT log=$(postgres_log)"
        all_up=3
    fi
    if pid=$(rabbitmq_pid) && rabbitmq_ready; then
        echo "rabbitmq up pid=$pid port=$RABBITMQ_PORT management=$RABBITMQ_MANAGEMENT_PORT log=$(rabbitmq_log)"
    else
        echo "rabbitmq down port=$RABBITMQ_PORT management=$RABBITMQ_MANAGEMENT_PORT log=$(rabbitmq_log)"
        all_up=3
    fi
    return "$all_up"
}

backend_say_logs() {
    if [[ $BACKEND == docker ]]; then
        say "logs: docker compose -p $instance logs"
    else
        say "logs: $(postgres_log) and $(rabbitmq_log)"
    fi
}
