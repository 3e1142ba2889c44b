-- Who may change who may do what: two administrators, of different people, for everything that could end in a false alert.

alter table officer add column person text;
update officer set person = 'account:' || id;
alter table officer alter column person set not null;
comment on column officer.person is
    'Whom the account belongs to, by the province''s directory: a staff number or the subject of its single sign-on. Two accounts of one person are one person. ''account:…'': nobody has said.';
create index officer_person on officer (person);

create function officer_person_unsaid() returns trigger language plpgsql as $$
begin
    new.person := coalesce(new.person, 'account:' || new.id);
    return new;
end $$;
create trigger officer_has_a_person before insert on officer for each row execute function officer_person_unsaid();

-- Invariant 2 is about people, not accounts.
create or replace function approver_is_not_submitter() returns trigger language plpgsql as $$
begin
    if new.verdict = 'approve' and exists (
        select from alert a
        join alert_revision r on r.alert_id = a.id and r.revision = new.revision
        join officer spoke on spoke.id in (a.submitted_by, r.author)
        join officer decides on decides.id = new.officer_id
        where a.id = new.alert_id and spoke.person = decides.person
    ) then
        raise exception 'the person who submitted a revision never approves it' using errcode = 'check_violation', constraint = 'approver_is_not_submitter';
    end if;
    return new;
end $$;

create table authority_change (
    id uuid primary key,
    change jsonb not null,
    proposed_by uuid not null references officer,
    proposed_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null default clock_timestamp(),
    outcome text check (outcome in ('confirmed', 'refused', 'withdrawn')),
    decided_by uuid references officer,
    decided_at timestamptz,
    constraint authority_change_decided check ((outcome is null) = (decided_by is null) and (outcome is null) = (decided_at is null))
);
comment on table authority_change is 'Changes of who may do what that take two administrators. Written once, decided once.';
create index authority_change_open on authority_change (proposed_at) where outcome is null;

create function second_administrator() returns trigger language plpgsql as $$
begin
    -- The clock is ours, whatever was given; nothing is decided at birth.
    if tg_op = 'INSERT' then
        if new.outcome is not null then
            raise exception 'a change is proposed before it is decided' using errcode = 'insufficient_privilege';
        end if;
        new.proposed_at := clock_timestamp();
        new.expires_at := new.proposed_at + interval '7 days';
        return new;
    end if;
    new.decided_at := clock_timestamp();
    if old.outcome is not null or (new.id, new.change, new.proposed_by, new.proposed_at, new.expires_at)
        is distinct from (old.id, old.change, old.proposed_by, old.proposed_at, old.expires_at) then
        raise exception 'a change is decided once, as it was proposed' using errcode = 'insufficient_privilege';
    end if;
    if new.outcome = 'confirmed' and (new.decided_at > old.expires_at or not exists (
        select from officer proposed join officer confirms on confirms.id = new.decided_by
        where proposed.id = old.proposed_by and proposed.person <> confirms.person
          and proposed.person not like 'account:%' and confirms.person not like 'account:%'
          and proposed.role = 'administrator' and proposed.disabled_at is null
          and confirms.role = 'administrator' and confirms.disabled_at is null
    )) then
        raise exception 'a second administrator, of another person, confirms' using errcode = 'check_violation', constraint = 'second_administrator';
    end if;
    return new;
end $$;
create trigger authority_change_two_people before insert or update on authority_change for each row execute function second_administrator();
create trigger authority_change_kept before delete on authority_change for each row execute function refuse_change();
create trigger authority_change_no_truncate before truncate on authority_change for each statement execute function refuse_change();

alter table officer add column granted_by uuid references authority_change;
alter table api_key add column granted_by uuid references authority_change;
alter table broker_user add column granted_by uuid references authority_change;
comment on column officer.granted_by is 'What two administrators agreed on when this account got its role; null while there were not two, and for roles that one may give.';
comment on column api_key.granted_by is 'What two administrators agreed on; null while there were not two.';
comment on column broker_user.granted_by is 'What two administrators agreed on; null while there were not two.';

create function has_two_administrators() returns boolean language sql stable as $$
    select count(distinct person) >= 2 from officer
    where role = 'administrator' and disabled_at is null and person not like 'account:%'
$$;
comment on function has_two_administrators is 'Until there are two, and it has been said whose accounts they are, the operator''s commands alone found the province.';

-- The last line, should the code before it ever be lost: what was agreed on must be exactly what is written.
create function authority_was_agreed() returns trigger language plpgsql as $$
declare
    agreed jsonb;
    fits boolean;
begin
    -- A key is made once and ended once, also while the province is being founded.
    if tg_table_name = 'api_key' and tg_op = 'UPDATE' then
        if old.revoked_at is null and new.revoked_at is not null
            and (to_jsonb(new) - 'revoked_at') = (to_jsonb(old) - 'revoked_at') then
            return new;
        end if;
        raise exception 'a key is only revoked' using errcode = 'insufficient_privilege';
    end if;
    if not has_two_administrators() then
        return new;
    end if;
    if tg_table_name = 'officer' then
        if new.role not in ('approver', 'administrator')
            or (tg_op = 'UPDATE' and new.role = old.role and (new.disabled_at is not null or old.disabled_at is null)
                and new.agency_id = old.agency_id and new.person = old.person) then
            return new;
        end if;
    end if;
    -- Confirming and carrying out are one transaction, so that an old agreement makes nothing a second time.
    select change into agreed from authority_change
    where id = new.granted_by and outcome = 'confirmed' and decided_at >= transaction_timestamp();
    if tg_table_name = 'officer' then
        fits := agreed ->> 'role' = new.role and case agreed ->> 'kind'
            when 'open_account' then tg_op = 'INSERT' and agreed ->> 'login' = new.login and agreed ->> 'person' = new.person
                and agreed ->> 'agency' = new.agency_id::text
            when 'change_role' then tg_op = 'UPDATE' and agreed ->> 'officer' = new.id::text and new.disabled_at is null
                and new.agency_id = old.agency_id and new.person = old.person and new.granted_by is distinct from old.granted_by
            else false end;
    elsif tg_table_name = 'api_key' then
        fits := agreed ->> 'kind' = 'create_key' and agreed ->> 'officer' = new.officer_id::text and agreed ->> 'label' = new.label
            and not exists (select from api_key k where k.granted_by = new.granted_by);
    else
        fits := agreed ->> 'kind' = 'act_as' and agreed ->> 'officer' = new.officer_id::text and agreed ->> 'user_id' = new.user_id;
    end if;
    if fits is not true then
        raise exception 'two administrators must agree on this' using errcode = 'check_violation', constraint = 'second_administrator';
    end if;
    return new;
end $$;
create trigger officer_was_agreed before insert or update on officer for each row execute function authority_was_agreed();
create trigger api_key_was_agreed before insert or update on api_key for each row execute function authority_was_agreed();
create trigger broker_user_was_agreed before insert or update on broker_user for each row execute function authority_was_agreed();

create or replace function approver_belongs_to_focal_unit() returns trigger language plpgsql as $$
begin
    if new.role = 'approver' and not exists (select from agency where id = new.agency_id and is_focal_unit) then
        raise exception 'only an officer of the focal unit may approve (QC-CB 12.2)' using errcode = 'check_violation', constraint = 'officer_of_the_focal_unit';
    end if;
    return new;
end $$;

-- A temporary table of the same name must not be looked into instead.
alter function officer_person_unsaid() set search_path = pg_catalog, public, pg_temp;
alter function approver_is_not_submitter() set search_path = pg_catalog, public, pg_temp;
alter function approver_belongs_to_focal_unit() set search_path = pg_catalog, public, pg_temp;
alter function second_administrator() set search_path = pg_catalog, public, pg_temp;
alter function has_two_administrators() set search_path = pg_catalog, public, pg_temp;
alter function authority_was_agreed() set search_path = pg_catalog, public, pg_temp;
