-- What an officer is still writing at the console: kept as typed, complete or not, until it is submitted or thrown away.

create table draft (
    alert_id uuid primary key,
    agency_id uuid not null references agency,
    revision integer not null default 0 check (revision >= 0),
    version integer not null default 1 check (version >= 1),
    fields jsonb not null check (jsonb_typeof(fields) = 'object' and octet_length(fields::text) <= 262144),
    file_sha256 bytea check (length(file_sha256) = 32),
    file_media_type text check (file_media_type in ('application/pdf', 'image/jpeg', 'image/png')),
    file_content bytea check (length(file_content) <= 20971520),
    saved_by uuid not null references officer,
    saved_at timestamptz not null default clock_timestamp(),
    constraint draft_file check (num_nulls(file_sha256, file_media_type, file_content) in (0, 3))
);
comment on table draft is 'Working copies of the console, of one agency each. No record: what was submitted is in alert_revision.';
comment on column draft.alert_id is 'The alert that it becomes, or whose next revision it becomes.';
comment on column draft.revision is 'The revision it was written upon; 0 before there is an alert.';
comment on column draft.version is 'Raised by every save, so that two people at one draft notice each other.';
comment on column draft.fields is 'As typed, by the paths that the rules name: texts.vi.headline.';
alter table draft alter column file_content set storage external;
create index draft_by_agency on draft (agency_id, saved_at desc);
