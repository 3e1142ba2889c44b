-- Where somebody's devices make no passkeys: a password and a one-time code (RFC 6238).

create table totp (
    officer_id uuid primary key references officer,
    key_id text not null,
    sealed bytea not null,
    last_step bigint not null,
    wrong integer not null default 0,
    created_at timestamptz not null,
    used_at timestamptz
);
comment on table totp is 'The secret that a person''s authenticator app shares with us. Who has a passkey has none of these.';
comment on column totp.key_id is 'Which of sign_in.totp_keys encrypted it: the database alone makes no codes.';
comment on column totp.sealed is 'Nonce and ChaCha20-Poly1305 of the secret, bound to the officer.';
comment on column totp.last_step is 'The half minute whose code was taken last: a code is taken once, and none before it.';
comment on column totp.wrong is 'Wrong codes after the right password, since the last right one. Too many, and it takes an invitation.';

alter table sign_in_ceremony drop constraint sign_in_ceremony_kind_check;
alter table sign_in_ceremony add constraint sign_in_ceremony_kind_check check (kind in ('register', 'sign_in', 'totp', 'single_sign_on'));

-- Who has a second factor can confirm an invitation, whichever it is.
create or replace function two_administrators_sign_in() returns boolean language sql stable as $$
    select count(distinct o.person) >= 2 from officer o
    where o.role = 'administrator' and o.disabled_at is null and o.person not like 'account:%'
      and (exists (select from passkey p where p.officer_id = o.id) or exists (select from totp t where t.officer_id = o.id))
$$;
comment on function two_administrators_sign_in is 'Until two administrators have passkeys or codes, the operator''s command invites: nobody could confirm an invitation.';
alter function two_administrators_sign_in() set search_path = pg_catalog, public, pg_temp;
