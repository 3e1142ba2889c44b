-- Where an emergency takes two approvers: the first endorses, the second's approval sends it.

alter table decision drop constraint decision_verdict_check;
alter table decision add constraint decision_verdict_check check (verdict in ('endorse', 'approve', 'return', 'reject', 'recall', 'all_clear'));
alter table decision drop constraint decision_says_why;
alter table decision add constraint decision_says_why check (verdict in ('endorse', 'approve', 'recall', 'all_clear') or length(reason) > 0);
alter table decision drop constraint decision_approve_attests;
alter table decision add constraint decision_approve_attests
    check (verdict not in ('endorse', 'approve') or (attests_whole_province and attests_no_state_secret and digest is not null));
create unique index decision_one_endorsement on decision (alert_id, revision, officer_id) where verdict = 'endorse';

-- Invariant 2 for whoever endorses, too.
create or replace function approver_is_not_submitter() returns trigger language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
    if new.verdict not in ('endorse', 'approve') then
        return new;
    end if;
    if exists (
        select from alert a
        join alert_revision r on r.alert_id = a.id and r.revision <= new.revision
        join officer spoke on spoke.id in (a.submitted_by, r.author)
        join officer decides on decides.id = new.officer_id
        where a.id = new.alert_id and spoke.person = decides.person
    ) then
        raise exception 'the person who submitted a revision never approves it' using errcode = 'check_violation', constraint = 'approver_is_not_submitter';
    end if;
    return new;
end $$;

create table endorsement (
    alert_id uuid not null,
    revision integer not null,
    officer_id uuid not null references officer,
    seal jsonb,
    primary key (alert_id, revision, officer_id),
    foreign key (alert_id, revision) references alert_revision (alert_id, revision)
);
comment on table endorsement is 'With what an approver endorsed a revision: it becomes part of the seal when enough have. The decision says when, and about which bytes.';
comment on column endorsement.seal is 'The assertion of the approver''s own passkey; null where the server''s key seals.';
create trigger endorsement_append_only before update or delete on endorsement for each row execute function refuse_change();
