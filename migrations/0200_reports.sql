-- What a report about a month or a year is reckoned from, without opening every alert's words and every batch. Gathered by upkeep, a few seconds
-- late, and never by whoever submits, decides or sends: what counts must not be able to hold up a warning.

create index audit_reported on audit (seq)
    where action in ('alert.submitted', 'template.filled', 'alert.returned', 'alert.rejected', 'alert.approved');
create index audit_submissions on audit (subject, seq) where action in ('alert.submitted', 'template.filled');
create index notice_by_time on notice (created_at);
create index notice_taken on notice_delivery (at, notice_id) where outcome = 2;

create table report_progress (
    only_row boolean primary key default true check (only_row),
    seq bigint not null default 0
);
comment on table report_progress is 'How far the audit trail has been gathered.';
insert into report_progress default values;

create table report_event (
    seq bigint primary key,
    at timestamptz not null,
    kind text collate "C" not null check (kind in ('submitted', 'returned', 'rejected', 'approved')),
    alert_id uuid not null references alert,
    agency_id uuid not null references agency,
    category text collate "C" not null,
    lane text collate "C" not null,
    waited double precision check (waited >= 0)
);
comment on table report_event is 'Submissions and decisions, as the trail has them; under the category and the lane of the words they were about.';
comment on column report_event.seq is 'The entry of the audit trail.';
comment on column report_event.waited is 'Seconds from the submission that was decided to the decision.';
create index report_event_by_time on report_event (at);
create index report_event_by_alert on report_event (alert_id, seq);

create table report_sent (
    alert_id uuid primary key references alert,
    broadcast_id uuid not null unique references broadcast,
    at timestamptz not null,
    agency_id uuid not null references agency,
    category text collate "C" not null,
    lane text collate "C" not null,
    purpose text collate "C" not null,
    risk_level smallint,
    accepted bigint not null default 0,
    gone bigint not null default 0,
    refused bigint not null default 0,
    failed bigint not null default 0,
    expired bigint not null default 0,
    stopped bigint not null default 0,
    withdrawn bigint not null default 0,
    unknown bigint not null default 0,
    pending bigint not null default 0,
    accepted_by bigint[] not null default '{0,0,0}' check (array_length(accepted_by, 1) = 3),
    half double precision,
    nearly_all double precision,
    whole double precision,
    shown_reports bigint not null default 0,
    shown_estimate double precision not null default 0,
    shown_of bigint not null default 0,
    is_settled boolean not null default false,
    is_final boolean not null default false,
    gathered_at timestamptz not null default '-infinity'
);
comment on table report_sent is 'What was sent, and what became of it: a sum of the ledger that no longer changes once it is_final.';
comment on column report_sent.at is 'When it became public.';
comment on column report_sent.accepted_by is 'Accepted, by provider in the order of their numbers.';
comment on column report_sent.half is
    'Seconds until half of the devices had a final outcome; null for what was stopped, or completed before there was such a milestone.';
comment on column report_sent.nearly_all is 'The same for 99 of 100.';
comment on column report_sent.whole is 'The same for the last.';
comment on column report_sent.is_settled is 'Its broadcast is completed: its outcomes no longer change.';
comment on column report_sent.is_final is 'Nor does what phones say of it: they are heard until a day after its end.';
create index report_sent_by_time on report_sent (at);
create index report_sent_open on report_sent (gathered_at) where not is_final;

comment on table sent_event is 'Milestones of a broadcast: first_push, half, nearly_all.';

-- How many phones said that they showed an alert: numbers, and nothing about any phone.
create table shown (
    alert_id uuid not null references alert,
    platform smallint not null check (platform between 0 and 2),
    share double precision not null check (share > 0 and share <= 1),
    reports bigint not null check (reports > 0),
    primary key (alert_id, platform, share)
);
comment on table shown is 'Of the phones that were asked, so many said that they showed it. Anonymous: one row an alert and platform, none a phone.';
comment on column shown.platform is 'The provider''s number: 0 Android, 1 iOS, 2 browsers.';
comment on column shown.share is 'The share of phones that were asked (devices.shown_sample) when they said so.';
