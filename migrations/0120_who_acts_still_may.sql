-- What was true when a request began must be true when it is written.

-- The last line of who decides: an approver whose account is open, at the moment of the decision. Whoever closes the account or gives it
-- another role waits for the decision, or comes before it. And where the province is founded, nobody decides of whom it was never said who
-- they are, or about words of such a person: invariant 2 could not be kept.
create function decided_by_an_open_approver() returns trigger language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
    perform from officer where id = new.officer_id and role = 'approver' and disabled_at is null for share;
    if not found then
        raise exception 'only an approver whose account is open decides' using errcode = 'check_violation', constraint = 'decided_by_an_open_approver';
    end if;
    if new.verdict in ('endorse', 'approve') and has_two_administrators() and exists (
        select from alert a
        join alert_revision r on r.alert_id = a.id and r.revision <= new.revision
        join officer known on known.id in (a.submitted_by, r.author, new.officer_id)
        where a.id = new.alert_id and known.person like 'account:%'
    ) then
        raise exception 'nobody has said whose account this is' using errcode = 'check_violation', constraint = 'decided_among_known_people';
    end if;
    return new;
end $$;
create trigger decision_who_decides before insert on decision for each row execute function decided_by_an_open_approver();

-- Invariant 2 rests on whose an account is: it is said once.
create function person_is_said_once() returns trigger language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
    if new.id <> old.id or (new.person <> old.person and old.person <> 'account:' || old.id) then
        raise exception 'whose an account is is said once' using errcode = 'check_violation', constraint = 'person_is_said_once';
    end if;
    return new;
end $$;
create trigger officer_person_said_once before update on officer for each row execute function person_is_said_once();

-- Whoever confirms a key sees its secret: a key that decides, or that makes accounts, would be a second face of somebody else. While the
-- province is being founded there is nobody to confirm, and the operator's command makes what it makes.
create function key_decides_nothing() returns trigger language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
    if has_two_administrators()
        and exists (select from officer where id = new.officer_id and role in ('approver', 'administrator')) then
        raise exception 'an approver or administrator acts in person' using errcode = 'check_violation', constraint = 'key_decides_nothing';
    end if;
    return new;
end $$;
create trigger api_key_decides_nothing before insert on api_key for each row execute function key_decides_nothing();
create trigger broker_user_decides_nothing before insert or update on broker_user for each row execute function key_decides_nothing();
