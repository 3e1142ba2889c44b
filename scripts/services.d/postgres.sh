# shellcheck shell=bash
# A PostgreSQL cluster of our own. No socket directory: socket paths are limited to 107 bytes, and nothing here needs one.

postgres_dir() { echo "$DATA_DIR/postgres"; }
postgres_data() { echo "$DATA_DIR/postgres/data"; }
postgres_log() { echo "$DATA_DIR/postgres/postgres.log"; }
postgres_user() { service_user postgres "$DATA_DIR/postgres"; }

# Prints the directory of the newest PostgreSQL >= 15, or of the one that wrote our data.
postgres_bin() {
    local dir on_path major best='' best_major=14 need=''
    [[ -z $DATA_DIR || ! -r $(postgres_data)/PG_VERSION ]] || need=$(<"$(postgres_data)/PG_VERSION")
    on_path=$(command -v postgres) && on_path=$(dirname "$(readlink -f "$on_path")")
    for dir in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/local/pgsql/bin "$on_path"; do
        [[ -x $dir/postgres && -x $dir/initdb && -x $dir/pg_ctl ]] || continue
        major=$("$dir/postgres" --version | grep -oE '[0-9]+' | head -n 1)
        if [[ -n $need ]]; then
            [[ $major == "$need" ]] && best=$dir
        elif ((major > best_major)); then
            best=$dir best_major=$major
        fi
    done
    [[ -z $need || -n $best ]] ||
        say "$(postgres_data) was written by PostgreSQL $need, which is no longer installed (scripts/services wipe starts anew)"
    [[ -n $best ]] && echo "$best"
}

postgres_start() {
    local attempt
    postgres_pid >/dev/null && return
    postgres_create
    for attempt in 1 2 3; do
        ensure_port POSTGRES_PORT
        save_state
        postgres_configure
        postgres_launch && return
        # The port may have been taken in between, or the backends of a killed postmaster are still letting go of its memory.
        sleep "$attempt"
    done
    show_tail "$(postgres_log)"
    die "PostgreSQL does not start"
}

postgres_launch() {
    postgres_forget_stale_pid
    as_user "$(postgres_user)" "$(postgres_bin)/pg_ctl" start --silent --wait --timeout=120 \
        --pgdata="$(postgres_data)" --log="$(postgres_log)" >/dev/null </dev/null
}

postgres_stop() {
    postgres_pid >/dev/null || return 0
    postgres_ctl_stop fast || postgres_ctl_stop immediate || die "PostgreSQL does not stop: see $(postgres_log)"
}

postgres_ctl_stop() {
    as_user "$(postgres_user)" "$(postgres_bin)/pg_ctl" stop --silent --wait --timeout=60 --mode="$1" \
        --pgdata="$(postgres_data)"
}

postgres_pid() {
    local pid
    [[ -n $DATA_DIR && -r $(postgres_data)/postmaster.pid ]] || return 1
    read -r pid <"$(postgres_data)/postmaster.pid" || return 1
    process_has "$pid" "$(postgres_data)" && echo "$pid"
}

# PostgreSQL refuses to start while the process in its pid file exists, even if a reboot has since given that number to a
# stranger. A number that nobody has is left to PostgreSQL, which also checks its shared memory.
postgres_forget_stale_pid() {
    local file pid=''
    file=$(postgres_data)/postmaster.pid
    [[ -e $file ]] || return 0
    read -r pid <"$file" || true
    if [[ -d /proc/$pid ]] && ! process_has "$pid" "$(postgres_data)"; then rm -f "$file"; fi
}

# Creates the cluster beside its final place and moves it there when complete: an interrupted attempt leaves nothing that
# looks finished.
postgres_create() {
    local user bin new log
    [[ ! -d $(postgres_data) ]] || return 0
    user=$(postgres_user)
    bin=$(postgres_bin)
    new=$(postgres_dir)/data.new
    log=$(postgres_dir)/create.log
    say "creating a database cluster in $(postgres_data)"
    private_dir "$user" "$(postgres_dir)"
    rm -rf "$new"
    (umask 077 && echo "$POSTGRES_ADMIN_PASSWORD" | as_user "$user" tee "$(postgres_dir)/password" >/dev/null)
    as_user "$user" "$bin/initdb" --pgdata="$new" --username=postgres --pwfile="$(postgres_dir)/password" \
        --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 >"$log" 2>&1 || postgres_create_failed "$log"
    rm -f "$(postgres_dir)/password"
    echo "include_if_exists 'loa.conf'" >>"$new/postgresql.conf"
    # The role is what production would have: no superuser, but tests may create a database each.
    as_user "$user" "$bin/postgres" --single -D "$new" postgres >>"$log" 2>&1 <<SQL || postgres_create_failed "$log"
create role loa login createdb createrole password '$POSTGRES_PASSWORD'
create database loa owner loa
SQL
    # Single-user mode reports an error and exits 0 all the same.
    ! grep -q 'ERROR:' "$log" || postgres_create_failed "$log"
    mv "$new" "$(postgres_data)"
}

postgres_create_failed() {
    show_tail "$1"
    die "the database cluster could not be created"
}

# Written at every start, so that a later version of this file reaches clusters that exist.
postgres_configure() {
    as_user "$(postgres_user)" tee "$(postgres_data)/loa.conf" >/dev/null <<CONF
listen_addresses = '127.0.0.1'
port = $POSTGRES_PORT
unix_socket_directories = ''
max_connections = 300            # a pool per test, many tests at once
shared_buffers = $(postgres_shared_buffers)

# fsync, full_page_writes and synchronous_commit keep their defaults: what is measured here is durable.
wal_level = minimal              # nobody replicates a development server
max_wal_senders = 0
min_wal_size = 256MB
max_wal_size = 2GB
jit = off                        # costs more than it gains on short queries

# A dispatcher that died with its network must lose its advisory lock within 3 s.
tcp_keepalives_idle = 1
tcp_keepalives_interval = 1
tcp_keepalives_count = 2
tcp_user_timeout = 3000          # the same while an answer to it is under way
client_connection_check_interval = 1s

timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%d '
lc_messages = 'C'
CONF
}

# 512 MB, but no more than an eighth of a small machine.
postgres_shared_buffers() {
    local kilobytes
    kilobytes=$(awk '/^MemTotal:/ { print $2 }' /proc/meminfo)
    if ((kilobytes / 8 < 524288)); then echo "$((kilobytes / 8))kB"; else echo 512MB; fi
}
