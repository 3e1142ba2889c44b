-- A published alert never changes: a correction or an all-clear takes its place, as an alert of its own of the same incident.

alter table alert drop constraint alert_purpose_check;
alter table alert add constraint alert_purpose_check check (purpose in ('alert', 'recall', 'correction', 'all_clear'));
comment on column alert.refers_to is 'The published alert whose place it takes, or took. An index of what is sealed.';

-- Two agencies may each write a correction of the same alert; a version is taken by what is published, and by nothing before.
alter table alert drop constraint alert_incident_version;
create unique index alert_incident_version on alert (incident_id, version) where published_at is not null;
create index alert_by_incident on alert (incident_id, version);

-- The last line, should the code before it ever be lost: people are never told two things at once.
create unique index alert_one_live on alert (incident_id) where state = 'live';
comment on index alert_one_live is 'Whatever takes an alert''s place ends it in the same transaction.';

alter table alert_revision add column all_clear_id uuid;
alter table alert_revision add column all_clear_sealable bytea;
alter table alert_revision add constraint alert_revision_all_clear check ((all_clear_id is null) = (all_clear_sealable is null));
comment on column alert_revision.all_clear_sealable is 'The bytes of its prepared all-clear, where the agency gave one.';

alter table decision drop constraint decision_verdict_check;
alter table decision add constraint decision_verdict_check check (verdict in ('approve', 'return', 'reject', 'recall', 'all_clear'));
alter table decision drop constraint decision_says_why;
alter table decision add constraint decision_says_why check (verdict in ('approve', 'recall', 'all_clear') or length(reason) > 0);

create table prepared_all_clear (
    original_id uuid primary key references alert,
    all_clear_id uuid not null unique,
    sealed bytea not null,
    key_id text not null,
    signature bytea not null
);
comment on table prepared_all_clear is 'The all-clear sealed together with its original, so that one approver can execute it at once.';
create trigger prepared_all_clear_append_only before update or delete on prepared_all_clear for each row execute function refuse_change();

comment on column broadcast.after_epoch is 'What takes an alert''s place starts when every live dispatcher has acknowledged this epoch (its stop).';
