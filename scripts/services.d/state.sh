# shellcheck shell=bash
# What is remembered between calls: ports, passwords, where the data lies and which backend runs it.
# shellcheck disable=SC2154 # checkout comes from scripts/services

local_root=${LOA_LOCAL_DIR:-$checkout/.local}
[[ $local_root == /* ]] || local_root=$PWD/$local_root

# Tells two checkouts apart wherever a name is shared by the whole machine: node name, compose project, /var/tmp. It also
# names the directory: a checkout that was copied, or is mounted elsewhere, starts anew instead of fighting over ports and data.
instance=loa-$(printf '%s' "$local_root" | sha256sum | cut -c 1-10)
local_dir=$local_root/$instance
state_file=$local_dir/services.env
state_keys=(BACKEND DATA_DIR POSTGRES_PORT POSTGRES_PASSWORD POSTGRES_ADMIN_PASSWORD
    RABBITMQ_PORT RABBITMQ_MANAGEMENT_PORT RABBITMQ_DIST_PORT RABBITMQ_EPMD_PORT RABBITMQ_PASSWORD)

load_state() {
    local key
    for key in "${state_keys[@]}"; do printf -v "$key" '%s' ''; done
    [[ -e $state_file ]] || return 0
    [[ -r $state_file ]] ||
        die "$state_file belongs to $(stat -c %U "$state_file"): run this as that user, or have that user remove $local_dir"
    # shellcheck source=/dev/null
    source "$state_file"
}

save_state() {
    local key
    (
        umask 077
        for key in "${state_keys[@]}"; do printf '%s=%q\n' "$key" "${!key}"; done >"$state_file.new"
        mv -f "$state_file.new" "$state_file"
    )
}

take_lock() {
    mkdir -p "$local_dir"
    exec 9>"$local_dir/services.lock"
    flock -n 9 && return
    say "waiting for another scripts/services of this checkout"
    flock -w 600 9 || die "another scripts/services has held $local_dir/services.lock for ten minutes"
}

# ensure_secrets: passwords are made once. Other people's processes on this machine can reach loopback, too.
ensure_secrets() {
    local key
    for key in POSTGRES_PASSWORD POSTGRES_ADMIN_PASSWORD RABBITMQ_PASSWORD; do
        [[ -n ${!key} ]] || printf -v "$key" '%s' "$(od -An -N 18 -tx1 /dev/urandom | tr -d ' \n')"
    done
}

# ensure_port KEY: keeps the remembered port unless somebody else listens there now.
ensure_port() {
    local key=$1 port=${!1} previous=${!1}
    until [[ -n $port ]] && ! port_open 127.0.0.1 "$port"; do
        # Below the range from which the kernel takes ports of outgoing connections.
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 10000))
        is_ours "$port" && port=''
    done
    [[ -z $previous || $previous == "$port" ]] ||
        say "port $previous is taken by somebody else; $port is ours from now on"
    printf -v "$key" '%s' "$port"
}

is_ours() {
    local key
    for key in "${state_keys[@]}"; do [[ $key == *_PORT && ${!key} == "$1" ]] && return 0; done
    return 1
}

own_database_url() { printf 'postgres://loa:%s@127.0.0.1:%s/loa' "$POSTGRES_PASSWORD" "$POSTGRES_PORT"; }
own_amqp_url() { printf 'amqp://loa:%s@127.0.0.1:%s/%%2f' "$RABBITMQ_PASSWORD" "$RABBITMQ_PORT"; }
own_management_url() { printf 'http://loa:%s@127.0.0.1:%s' "$RABBITMQ_PASSWORD" "$RABBITMQ_MANAGEMENT_PORT"; }

own_env() {
    [[ -n $BACKEND ]] || die "nothing is set up yet: run scripts/services up"
    printf "export DATABASE_URL='%s' AMQP_URL='%s' AMQP_MANAGEMENT_URL='%s'\n" \
        "$(own_database_url)" "$(own_amqp_url)" "$(own_management_url)"
}

# ensure_data_dir USER...: where the servers' data and logs go. Root cannot run PostgreSQL, so another user runs it and has
# to reach the data: not so in a checkout below a directory that only root may enter. Names that the servers' own shell
# scripts would split or mangle are avoided as well.
ensure_data_dir() {
    if [[ -n $DATA_DIR && -d $DATA_DIR && -O $DATA_DIR ]]; then return; fi
    DATA_DIR=$local_dir/data
    take_dir "$DATA_DIR"
    if [[ ! $DATA_DIR =~ ^[A-Za-z0-9/._+-]+$ ]] || ! reachable_for "$DATA_DIR" "$@"; then
        rm -rf "$DATA_DIR"
        DATA_DIR=/var/tmp/$instance
        take_dir "$DATA_DIR"
        ln -s "$DATA_DIR" "$local_dir/data"
        say "the data lies in $DATA_DIR: the servers' user cannot reach or name $local_dir"
    fi
    # Whatever is there already has passwords that we no longer know.
    rabbitmq_stop && postgres_stop
    rm -rf "$DATA_DIR/postgres" "$DATA_DIR/rabbitmq"
}

# take_dir DIR: a real directory that belongs to us. In /var/tmp anybody could have created the name first.
take_dir() {
    [[ ! -L $1 ]] || rm -f "$1"
    mkdir "$1" 2>/dev/null || [[ -d $1 && ! -L $1 && -O $1 ]] || die "$1 is in the way and not ours"
    chmod 711 "$1"
}

reachable_for() {
    local dir=$1 user
    shift
    for user in "$@"; do as_user "$user" test -x "$dir" || return 1; done
}

# service_user NAME DIR: who runs a server. Ourselves, unless we are root; a directory that exists already has decided.
service_user() {
    local name
    if [[ $EUID -ne 0 ]]; then
        id -un
    elif [[ -n $DATA_DIR && -d $2 ]]; then
        stat -c %U "$2"
    else
        for name in "$1" nobody; do
            if id -u "$name" >/dev/null 2>&1; then
                echo "$name"
                return
            fi
        done
        die "root cannot run the servers, and this machine has neither a user $1 nor nobody"
    fi
}

as_user() { (exec_as_user "$@"); }

# exec_as_user USER [NAME=VALUE...] COMMAND...: becomes that command, with a clean environment: PGPORT, RABBITMQ_NODENAME
# and their like would lead elsewhere. The lock (descriptor 9) is not passed on, or a server started here would hold it for
# as long as it lives.
exec_as_user() {
    local user=$1 prefix=()
    shift
    if [[ $EUID -eq 0 ]]; then
        prefix=(setpriv "--reuid=$user" "--regid=$(id -g "$user")" --init-groups)
    fi
    cd /
    exec 9>&-
    exec "${prefix[@]}" env -i "PATH=$PATH:/usr/sbin:/sbin" LANG=C.UTF-8 LC_ALL=C.UTF-8 "$@"
}

# private_dir USER DIR: exists, belongs to the user, nobody else looks in.
private_dir() {
    [[ -d $2 ]] && return
    mkdir "$2"
    chmod 700 "$2"
    [[ $EUID -ne 0 ]] || chown "$1:$(id -g "$1")" "$2"
}
