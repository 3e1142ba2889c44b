-- Warnings that two people approve in advance, and that one approver fills in when there is no time for more.

alter table alert drop constraint alert_state_check;
alter table alert add constraint alert_state_check
    check (state in ('draft', 'submitted', 'returned', 'rejected', 'scheduled', 'ready', 'cancelled', 'live', 'expired', 'superseded', 'recalled'));
alter table alert drop constraint alert_published;
alter table alert add constraint alert_published
    check (state in ('draft', 'submitted', 'returned', 'rejected', 'scheduled', 'ready', 'cancelled') or published_at is not null);
alter table alert drop constraint alert_not_begun;
alter table alert add constraint alert_not_begun check (state not in ('scheduled', 'ready', 'cancelled') or published_at is null);
create index alert_ready on alert (expires_at) where state = 'ready';

create table template_use (
    alert_id uuid primary key references alert,
    template_id uuid not null references alert,
    filled_by uuid not null references officer,
    filled_at timestamptz not null default clock_timestamp(),
    reviewed_by uuid references officer,
    reviewed_at timestamptz,
    finding text check (length(finding) > 0),
    check ((reviewed_by is null) = (reviewed_at is null) and (reviewed_by is null) = (finding is null))
);
comment on table template_use is 'Which alert was made of which template, by whom; and what somebody else found who looked at it afterwards. Open until then.';
create index template_use_open on template_use (filled_at) where reviewed_by is null;

-- The review is written once, about what was published, by an approver who neither filled it in nor sent it, by this account or another.
create function template_use_reviewed_once() returns trigger language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
    if old.reviewed_by is not null or new.reviewed_by is null
        or (new.alert_id, new.template_id, new.filled_by, new.filled_at) is distinct from (old.alert_id, old.template_id, old.filled_by, old.filled_at) then
        raise exception 'the use of a template is reviewed once, and not changed' using errcode = 'check_violation', constraint = 'template_use_reviewed_once';
    end if;
    if not exists (select from alert where id = new.alert_id and published_at is not null) then
        raise exception 'only what was published is reviewed' using errcode = 'check_violation', constraint = 'template_use_published';
    end if;
    if not exists (
        select from officer reviews where reviews.id = new.reviewed_by and reviews.role = 'approver' and reviews.disabled_at is null
    ) or exists (
        select from officer acted
        join officer reviews on reviews.id = new.reviewed_by and reviews.person = acted.person
        where acted.id = new.filled_by
           or acted.id in (select officer_id from decision where alert_id = new.alert_id and verdict in ('endorse', 'approve'))
    ) then
        raise exception 'another approver reviews it' using errcode = 'check_violation', constraint = 'template_use_reviewed_by_another';
    end if;
    return new;
end $$;
create trigger template_use_review before update on template_use for each row execute function template_use_reviewed_once();
create trigger template_use_kept before delete on template_use for each row execute function refuse_change();
create trigger template_use_no_truncate before truncate on template_use for each statement execute function refuse_change();
