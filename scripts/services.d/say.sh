# shellcheck shell=bash
# How scripts/services speaks: progress on stderr, so that stdout stays free for what was asked for.

say() { printf 'services: %s\n' "$*" >&2; }

die() {
    say "$*"
    exit 1
}

# show_tail LOG: the end of a log of a server that would not start.
show_tail() {
    say "the end of $1:"
    tail -n 25 "$1" >&2 2>/dev/null || true
}
