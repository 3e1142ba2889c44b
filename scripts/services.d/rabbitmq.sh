# shellcheck shell=bash
# A RabbitMQ node of our own: own name, cookie, epmd and distribution port, so that it never meets another node.
# shellcheck disable=SC2154 # instance and checkout come from state.sh and scripts/services

rabbitmq_dir() { echo "$DATA_DIR/rabbitmq"; }
rabbitmq_log() { echo "$DATA_DIR/rabbitmq/rabbitmq.log"; }
rabbitmq_startup_log() { echo "$DATA_DIR/rabbitmq/startup.log"; }
rabbitmq_user() { service_user rabbitmq "$DATA_DIR/rabbitmq"; }

# Prints the directory of RabbitMQ's own start script. The one that Debian puts on the PATH is a wrapper that insists on
# the standard service's user and directories.
rabbitmq_bin() {
    local dir on_path
    command -v erl >/dev/null || return 1
    on_path=$(command -v rabbitmq-server || true)
    for dir in /usr/lib/rabbitmq/bin /usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin "$(dirname "$(readlink -f "${on_path:-/}")")"; do
        [[ -x $dir/rabbitmq-server && -r $dir/rabbitmq-env ]] || continue
        if rabbitmq_is_recent "$dir"; then
            echo "$dir"
            return
        fi
    done
    return 1
}

# rabbitmq_is_recent DIR: 3.10 or later, by the name of the plug-in directory (asking the program takes seconds).
rabbitmq_is_recent() {
    local home plugin version major minor
    home=$(dirname "$(dirname "$(readlink -f "$1/rabbitmq-server")")")
    for plugin in "$home"/plugins/rabbit-[0-9]*; do
        version=${plugin##*/rabbit-}
        IFS=. read -r major minor _ <<<"$version"
        if ((major > 3 || (major == 3 && minor >= 10))); then return 0; fi
    done
    return 1
}

rabbitmq_start() {
    local attempt
    rabbitmq_pid >/dev/null && rabbitmq_await && return
    private_dir "$(rabbitmq_user)" "$(rabbitmq_dir)"
    for attempt in 1 2 3; do
        # A node that hangs, or the epmd of one that was killed, would look like somebody else's.
        rabbitmq_stop
        ensure_port RABBITMQ_PORT
        ensure_port RABBITMQ_MANAGEMENT_PORT
        ensure_port RABBITMQ_DIST_PORT
        ensure_port RABBITMQ_EPMD_PORT
        save_state
        rabbitmq_configure
        rabbitmq_launch
        rabbitmq_await && return
        sleep "$attempt"
    done
    show_tail "$(rabbitmq_startup_log)"
    show_tail "$(rabbitmq_log)"
    die "RabbitMQ does not start"
}

# Sets rabbitmq_launched, the start script's process.
rabbitmq_launch() {
    local dir
    dir=$(rabbitmq_dir)
    ulimit -n 65536 2>/dev/null || true
    exec_as_user "$(rabbitmq_user)" \
        HOME="$dir" \
        ERL_CRASH_DUMP="$dir/erl_crash.dump" \
        ERL_EPMD_ADDRESS=127.0.0.1 \
        ERL_EPMD_PORT="$RABBITMQ_EPMD_PORT" \
        RABBITMQ_NODENAME="$instance@localhost" \
        RABBITMQ_DIST_PORT="$RABBITMQ_DIST_PORT" \
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1}' \
        RABBITMQ_CONF_ENV_FILE="$dir/rabbitmq-env.conf" \
        RABBITMQ_CONFIG_FILE="$dir/rabbitmq.conf" \
        RABBITMQ_CONFIG_FILES="$dir/conf.d" \
        RABBITMQ_ADVANCED_CONFIG_FILE="$dir/advanced.config" \
        RABBITMQ_ENABLED_PLUGINS_FILE="$dir/enabled_plugins" \
        RABBITMQ_MNESIA_BASE="$dir/mnesia" \
        RABBITMQ_LOG_BASE="$dir" \
        RABBITMQ_LOGS="$(rabbitmq_log)" \
        setsid "$(rabbitmq_bin)/rabbitmq-server" </dev/null >"$(rabbitmq_startup_log)" 2>&1 &
    rabbitmq_launched=$!
}

# Waits for AMQP and the management API. Fails early when the start script has ended.
rabbitmq_await() {
    wait_until 180 rabbitmq_ready_or_dead && rabbitmq_ready
}

rabbitmq_ready_or_dead() {
    rabbitmq_ready && return
    if [[ -n ${rabbitmq_launched:-} ]]; then ! kill -0 "$rabbitmq_launched" 2>/dev/null; else ! rabbitmq_pid >/dev/null; fi
}

rabbitmq_ready() {
    amqp_answers 127.0.0.1 "$RABBITMQ_PORT" &&
        http_ok 127.0.0.1 "$RABBITMQ_MANAGEMENT_PORT" /api/whoami loa "$RABBITMQ_PASSWORD"
}

rabbitmq_stop() {
    local pid
    if pid=$(rabbitmq_pid); then
        kill -TERM "$pid" 2>/dev/null || true
        wait_until 60 rabbitmq_gone "$pid" || kill -KILL "$pid" 2>/dev/null || true
        wait_until 10 rabbitmq_gone "$pid" || die "RabbitMQ (process $pid) does not stop: see $(rabbitmq_log)"
    fi
    rabbitmq_stop_epmd
}

rabbitmq_gone() { ! process_has "$1" "$(rabbitmq_dir)"; }

# epmd ends on the request KILL_REQ (length 1, "k"), which it refuses while a node is registered: nobody else's can be hit.
rabbitmq_stop_epmd() {
    [[ -n $RABBITMQ_EPMD_PORT ]] || return 0
    (
        exec 3<>"/dev/tcp/127.0.0.1/$RABBITMQ_EPMD_PORT" || exit 0
        printf '\0\001k' >&3
        read -r -n 2 -t 3 _ <&3 || true
    ) 2>/dev/null || true
}

# The node is the process whose command line has our directory as one whole argument (-home). Its own pid file would not do:
# it goes before the node has ended, and stays when the node is killed.
rabbitmq_pid() {
    local found
    [[ -n $DATA_DIR ]] || return 1
    # The pattern comes by standard input, or grep would find itself.
    # shellcheck disable=SC2062 # what follows are files
    found=$(rabbitmq_dir | grep -lszxF --file=- /proc/[0-9]*/cmdline | head -n 1)
    found=${found#/proc/}
    [[ -n $found ]] && echo "${found%/cmdline}"
}

# Written at every start. The empty files keep the machine's own /etc/rabbitmq out.
rabbitmq_configure() {
    local user dir file
    user=$(rabbitmq_user)
    dir=$(rabbitmq_dir)
    as_user "$user" mkdir -p "$dir/conf.d" "$dir/mnesia"
    for file in rabbitmq-env.conf advanced.config enabled_plugins rabbitmq.conf; do
        rabbitmq_file_"${file%%.*}" | as_user "$user" tee "$dir/$file" >/dev/null
    done
    as_user "$user" chmod 600 "$dir/rabbitmq.conf"
}

rabbitmq_file_rabbitmq-env() { echo '# empty: keeps /etc/rabbitmq/rabbitmq-env.conf out'; }
rabbitmq_file_advanced() { echo '[].'; }
rabbitmq_file_enabled_plugins() { echo '[rabbitmq_management].'; }
rabbitmq_file_rabbitmq() {
    cat <<CONF
listeners.tcp.1 = 127.0.0.1:$RABBITMQ_PORT
management.tcp.ip = 127.0.0.1
management.tcp.port = $RABBITMQ_MANAGEMENT_PORT

# Made at the first start, instead of guest/guest.
default_user = loa
default_pass = $RABBITMQ_PASSWORD
default_user_tags.administrator = true

# A nearly full disk must not block a demo, nor RabbitMQ eat a small machine.
disk_free_limit.absolute = 50MB
vm_memory_high_watermark.relative = 0.4
# A document of 20 MiB is 28 MB in base64; from 4.0 on the broker takes 16 MiB unless told otherwise.
max_message_size = 33554432
# Quorum queues keep this much of their log in memory, and on disk: 512 MB would be the default.
raft.wal_max_size_bytes = 67108864

log.file.level = info
CONF
}
