-- What a review of the whole found.

-- Whose passkey was revoked endorses again with another one: the newest counts.
drop index decision_one_endorsement;
create index decision_endorsements on decision (alert_id, revision, officer_id) where verdict = 'endorse';
alter table endorsement drop constraint endorsement_pkey;
alter table endorsement add column id bigint generated always as identity primary key;
create index endorsement_of on endorsement (alert_id, revision, officer_id);

-- What was refused, called off or called back stays so, whoever may write the column.
create function alert_ended_for_good() returns trigger language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
    if new.state <> old.state then
        raise exception 'an alert that is % stays so', old.state using errcode = 'check_violation', constraint = 'alert_ended_for_good';
    end if;
    return new;
end $$;
create trigger alert_ended_for_good before update on alert for each row
    when (old.state in ('rejected', 'cancelled', 'recalled')) execute function alert_ended_for_good();
