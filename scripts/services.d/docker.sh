# shellcheck shell=bash
# The same two servers as containers, described in compose.yaml.
# shellcheck disable=SC2154 # instance and checkout come from state.sh and scripts/services

docker_runs() {
    command -v docker >/dev/null && docker compose version >/dev/null 2>&1 && docker info >/dev/null 2>&1
}

# An engine that cannot fetch the images is no use; the packages may still be reachable.
docker_has_images() {
    compose pull --quiet --policy missing >/dev/null 2>&1 && return
    say "the Docker engine runs, but cannot get the images named in compose.yaml"
    return 1
}

compose() {
    LOA_POSTGRES_PORT=${POSTGRES_PORT:-0} LOA_POSTGRES_PASSWORD=${POSTGRES_PASSWORD:-unset} \
        LOA_RABBITMQ_PORT=${RABBITMQ_PORT:-0} LOA_RABBITMQ_MANAGEMENT_PORT=${RABBITMQ_MANAGEMENT_PORT:-0} \
        LOA_RABBITMQ_PASSWORD=${RABBITMQ_PASSWORD:-unset} \
        docker compose --project-name "$instance" --file "$checkout/compose.yaml" "$@" 9>&-
}

docker_up() {
    local key service
    for key in POSTGRES_PORT RABBITMQ_PORT RABBITMQ_MANAGEMENT_PORT; do
        service=$(tr '[:upper:]' '[:lower:]' <<<"${key%%_*}")
        # The port of our own running container is not somebody else's.
        docker_up_already "$service" || ensure_port "$key"
    done
    save_state
    compose up --detach --wait --wait-timeout 240 >&2 || {
        compose logs --tail 25 >&2
        die "the containers do not start"
    }
}

docker_up_already() { [[ -n $(compose ps --quiet --status running "$1" 2>/dev/null) ]]; }

docker_start() {
    compose up --detach --wait --wait-timeout 240 "$1" >&2
}

docker_stop() { compose stop --timeout 60 "$1" >&2; }
docker_down() { compose down --timeout 60 >&2; }
docker_wipe() { compose down --timeout 60 --volumes >&2; }

docker_status() {
    local service port all_up=0
    for service in postgres rabbitmq; do
        [[ $service == postgres ]] && port=$POSTGRES_PORT || port=$RABBITMQ_PORT
        if docker_up_already "$service" && port_open 127.0.0.1 "$port"; then
            echo "$service up container=$(compose ps --quiet "$service") port=$port"
        else
            echo "$service down port=$port"
            all_up=3
        fi
    done
    return "$all_up"
}
