-- People sign in with passkeys, and are invited by two administrators to register the first.

create table passkey (
    credential bytea primary key check (length(credential) between 16 and 1023),
    officer_id uuid not null references officer,
    name text not null,
    verifier jsonb not null,
    created_at timestamptz not null default clock_timestamp(),
    used_at timestamptz
);
comment on table passkey is 'With what people sign in. Public halves only; the sealing of alerts believes the list that the offline root key signs, never this table.';
comment on column passkey.verifier is 'The credential as webauthn-rs keeps it: public key, counter, flags.';
create index passkey_of_officer on passkey (officer_id);

create table sign_in_ceremony (
    holder bytea not null,
    kind text not null check (kind in ('register', 'sign_in')),
    state jsonb not null,
    expires_at timestamptz not null,
    primary key (holder, kind)
);
comment on table sign_in_ceremony is 'What a browser''s authenticator has been asked, by the hash of that browser''s cookie. Taken once, soon old.';
create index sign_in_ceremony_old on sign_in_ceremony (expires_at);

create table invitation (
    officer_id uuid primary key references officer,
    first_hash bytea not null,
    second_hash bytea not null,
    granted_by uuid references authority_change,
    expires_at timestamptz not null
);
comment on table invitation is 'Sets an account''s password and first passkey anew, once. Its code is in two halves, each shown to one administrator.';
comment on column invitation.granted_by is 'What two administrators agreed on; null while there were not two.';

create function two_administrators_sign_in() returns boolean language sql stable as $$
    select count(distinct o.person) >= 2 from officer o
    where o.role = 'administrator' and o.disabled_at is null and o.person not like 'account:%'
      and exists (select from passkey p where p.officer_id = o.id)
$$;
comment on function two_administrators_sign_in is 'Until two administrators have passkeys, the operator''s command invites: nobody could confirm an invitation.';
alter function two_administrators_sign_in() set search_path = pg_catalog, public, pg_temp;

create function invitation_was_agreed() returns trigger language plpgsql as $$
begin
    if two_administrators_sign_in() and not exists (
        select from authority_change
        where id = new.granted_by and outcome = 'confirmed' and decided_at >= transaction_timestamp()
          and change ->> 'kind' = 'invite' and change ->> 'officer' = new.officer_id::text
          and change ->> 'first_hash' = encode(new.first_hash, 'hex')
    ) then
        raise exception 'two administrators must agree on this' using errcode = 'check_violation', constraint = 'second_administrator';
    end if;
    return new;
end $$;
alter function invitation_was_agreed() set search_path = pg_catalog, public, pg_temp;
create trigger invitation_was_agreed before insert or update on invitation for each row execute function invitation_was_agreed();

alter table console_session add column is_enrolling boolean not null default false;
comment on column console_session.is_enrolling is 'Begun by an invitation where a second factor is required: it can register a passkey and nothing else until then.';
