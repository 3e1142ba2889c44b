-- Clients of the province's issuer (OAuth 2.0) that act as an account: agencies' systems without an API key.

create table system_client (
    id uuid primary key,
    issuer text not null check (length(issuer) between 1 and 500),
    client_id text not null check (length(client_id) between 1 and 255),
    subject text not null check (length(subject) between 1 and 255),
    officer_id uuid not null references officer,
    granted_by uuid references authority_change,
    linked_at timestamptz not null default clock_timestamp(),
    unlinked_at timestamptz
);
comment on table system_client is 'As whom a client of the issuer acts by its access tokens (RFC 9068). Linked once, as two administrators agreed, and ended once.';
comment on column system_client.subject is 'The tokens'' sub. Both are compared: a token that the client got for a person who signed in names another subject.';
comment on column system_client.granted_by is 'What two administrators agreed on; null while there were not two.';
create unique index system_client_linked on system_client (issuer, client_id, subject) where unlinked_at is null;
create index system_client_officer on system_client (officer_id) where unlinked_at is null;

-- The last line, as for keys: what was agreed on must be exactly what is written, and no system decides or makes accounts.
create function client_was_agreed() returns trigger language plpgsql set search_path = pg_catalog, public, pg_temp as $$
declare
    agreed jsonb;
begin
    if tg_op = 'UPDATE' then
        if old.unlinked_at is null and new.unlinked_at is not null
            and (to_jsonb(new) - 'unlinked_at') = (to_jsonb(old) - 'unlinked_at') then
            return new;
        end if;
        raise exception 'a client is only unlinked' using errcode = 'insufficient_privilege';
    end if;
    if exists (select from officer where id = new.officer_id and role in ('approver', 'administrator')) then
        raise exception 'an approver or administrator acts in person' using errcode = 'check_violation', constraint = 'key_decides_nothing';
    end if;
    if not has_two_administrators() then
        return new;
    end if;
    -- Confirming and carrying out are one transaction, so that an old agreement links nothing a second time.
    select change into agreed from authority_change
    where id = new.granted_by and outcome = 'confirmed' and decided_at >= transaction_timestamp();
    if (agreed ->> 'kind' = 'link_client' and agreed ->> 'officer' = new.officer_id::text and agreed ->> 'issuer' = new.issuer
        and agreed ->> 'client_id' = new.client_id and agreed ->> 'subject' = new.subject
        and not exists (select from system_client c where c.granted_by = new.granted_by)) is not true then
        raise exception 'two administrators must agree on this' using errcode = 'check_violation', constraint = 'second_administrator';
    end if;
    return new;
end $$;
create trigger system_client_was_agreed before insert or update on system_client for each row execute function client_was_agreed();
create trigger system_client_kept before delete on system_client for each row execute function refuse_change();
create trigger system_client_no_truncate before truncate on system_client for each statement execute function refuse_change();
