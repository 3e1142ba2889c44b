-- What an approver's authenticator is asked to sign: drawn for one person and one revision, used once, soon old.

create table seal_challenge (
    nonce bytea primary key check (length(nonce) = 32),
    alert_id uuid not null,
    revision integer not null,
    officer_id uuid not null references officer,
    digest text not null,
    expires_at timestamptz not null,
    foreign key (alert_id, revision) references alert_revision (alert_id, revision)
);
comment on table seal_challenge is 'Deleted when it is used, and when it is old.';
create index seal_challenge_old on seal_challenge (expires_at);

comment on column seal.key_id is 'A key of seal.trusted_keys; or ''approvers'': approvers sealed with their own passkeys.';
comment on column seal.signature is 'Its signature; or the approvers'' assertions, with their nonces, as JSON.';
