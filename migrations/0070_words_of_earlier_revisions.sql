-- Invariant 2 over all revisions. Whoever attaches the document becomes the author of a revision whose words somebody else wrote: that somebody
-- could approve them. Now nobody approves an alert of which they wrote any revision.

create or replace function approver_is_not_submitter() returns trigger language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
    if new.verdict = 'approve' and exists (
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
