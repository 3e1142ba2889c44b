# syntax=docker/dockerfile:1

# The release image: the one binary `loa`. The simulator and the demo are not in it.
FROM rust:1-slim-bookworm AS build
WORKDIR /loa
COPY . .
# Built from .sqlx: no database is needed. The caches outlive the layer, so that a small change rebuilds little.
ENV SQLX_OFFLINE=true CARGO_TARGET_DIR=/cache/target
RUN --mount=type=cache,target=/cache/target \
    --mount=type=cache,target=/usr/local/cargo/registry \
    cargo build --release --locked --bin loa \
    && install -m 755 /cache/target/release/loa /usr/local/bin/loa

FROM debian:bookworm-slim
# The same numbers as in helm/loa: a pod may insist on a numeric user that is not root.
RUN groupadd --system --gid 10001 loa \
    && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin loa
COPY --from=build /usr/local/bin/loa /usr/local/bin/loa
USER 10001:10001
# 8080: API, console, public pages, metrics of `serve`. 8081: status of `dispatch`.
EXPOSE 8080 8081
# SIGTERM stops taking work, drains and ends.
STOPSIGNAL SIGTERM
ENTRYPOINT ["loa"]
CMD ["run"]
