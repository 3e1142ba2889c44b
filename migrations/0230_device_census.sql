-- What the console shows of the past: devices counted once a day, and the audit trail searched.

create table device_census (
    day date not null,
    provider smallint not null check (provider between 0 and 2),
    app_version text not null,
    language text not null,
    count bigint not null check (count > 0),
    primary key (day, provider, app_version, language)
);
comment on table device_census is 'Active devices, counted once a day by whichever process is first. Numbers only; a day that was counted is never counted again.';
comment on column device_census.day is 'The province''s day (UTC+7).';
comment on column device_census.app_version is 'As apps said it; empty: it did not; … : any other than the most frequent of that day.';
comment on column device_census.language is 'BCP 47 primary tag; … : any other than the most frequent of that day.';

-- The trail is searched newest first by who, what and to what; by day it needs the moment.
create index audit_actor on audit (actor, seq);
create index audit_action on audit (action, seq);
create index audit_subject on audit (subject, seq);
create index audit_at on audit (at);
