-- Failed sign-ins, so that guessing passwords is slow whichever process is asked.

create table sign_in_failure (
    id bigint generated always as identity primary key,
    login_hash bytea not null check (length(login_hash) = 32),
    address text not null,
    at timestamptz not null default clock_timestamp()
);
comment on table sign_in_failure is 'One row per failed sign-in, kept as long as it counts. The login only as a hash: people type passwords into the wrong field.';
comment on column sign_in_failure.address is 'Where it came from, as the trusted proxies say.';
create index sign_in_failure_login on sign_in_failure (login_hash, at);
create index sign_in_failure_address on sign_in_failure (address, at);
