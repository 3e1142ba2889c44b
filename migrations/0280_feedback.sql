-- Events of version 2, for every kind of notice, in groups: what a province's feedback system tells in a morning must not wait for a
-- transaction each. No province has had an earlier release in service: what tests and demos told under version 1 is not kept.

drop table notice_delivery;
drop table notice;
drop table feedback_event;

create table person (
    id bigint generated always as identity primary key,
    subject text collate "C" not null unique check (octet_length(subject) between 1 and 200),
    language text,
    email text,
    phone text,
    chosen_language text,
    muted text[] not null default '{}',
    quiet text
);
comment on table person is 'Whom the feedback system has told something, and how they want to hear of it.';
comment on column person.subject is 'Opaque id of the citizen, as devices are linked to it.';
comment on column person.language is 'As the feedback system last said; email and phone likewise.';
comment on column person.chosen_language is 'As the person chose in the app: before the device''s.';
comment on column person.muted is 'Kinds of event that the person reads in the app and is not rung for.';
comment on column person.quiet is 'When the person is left alone, as 21:00-06:30; what is urgent rings all the same.';

create table feedback_case (
    id bigint generated always as identity primary key,
    reported_by uuid not null references officer,
    name text collate "C" not null check (octet_length(name) between 1 and 200),
    person bigint not null references person,
    state jsonb not null,
    duty text collate "C",
    unit text collate "C",
    since timestamptz,
    until timestamptz,
    for_office boolean not null default false,
    constraint feedback_case_name unique (reported_by, name),
    constraint feedback_case_owed check (num_nulls(duty, since, until) in (0, 3))
);
comment on table feedback_case is 'One row a case: what its events have come to, whatever order they came in (domain::feedback::case).';
comment on column feedback_case.name is 'The sender''s id of it.';
comment on column feedback_case.duty is 'What is owed the person now, by which unit (null: the focal office), since when and until when.';
comment on column feedback_case.for_office is 'Reported five times and still not content: the Office''s business (QC-CB 14.3.a).';
create index feedback_case_owed_until on feedback_case (until) where until is not null;

-- The hot table: one row is event and notice. No foreign keys: both ends are written in the same transaction and never deleted apart, and two
-- lookups a row would be a third of what the row costs.
create table feedback_event (
    notice uuid primary key,
    reported_by uuid not null,
    number bigint generated always as identity,
    person bigint not null,
    case_id bigint not null,
    at timestamptz not null,
    received_at timestamptz not null default clock_timestamp(),
    read_at timestamptz,
    sequence integer not null check (sequence > 0),
    told smallint not null check (told between 0 and 2),
    template_version smallint not null default 0,
    kind text collate "C" not null,
    unit text collate "C" not null,
    event_id text collate "C" not null check (octet_length(event_id) between 1 and 200),
    body jsonb not null
);
comment on table feedback_event is 'Events of the feedback system and its neighbours, once each; those that a person is told of are their inbox.';
comment on column feedback_event.notice is 'Of the sender and the event''s id (domain::notice::id_of), so that an event told twice is one row; says nothing of the event.';
comment on column feedback_event.number is 'Order within an inbox.';
comment on column feedback_event.told is '0 the person is not told, 1 in the inbox, 2 in the inbox and by push';
comment on column feedback_event.unit is 'Who handled the case when it was told; empty: the focal office.';
comment on column feedback_event.body is 'What happened, as told (domain::feedback::Step).';
create index feedback_inbox on feedback_event (person, number) where told > 0;
alter table feedback_event set (autovacuum_vacuum_insert_scale_factor = 0.05);

create table notice_batch (
    id uuid primary key,
    notices uuid[] not null check (cardinality(notices) between 1 and 1000),
    state smallint not null default 0 check (state between 0 and 2),
    claim integer not null default 0,
    holder bigint,
    attempts smallint not null default 0,
    due_at timestamptz,
    expires_at timestamptz not null,
    created_at timestamptz not null default clock_timestamp(),
    done_at timestamptz,
    ledger bytea not null default '' check (length(ledger) % 12 = 0)
);
comment on table notice_batch is 'Notices that came together and are delivered together: one claim, one reading, one settlement.';
comment on column notice_batch.state is '0 open, 1 due at due_at, 2 final';
comment on column notice_batch.ledger is
    'What became of each notice on each device: 2 bytes place among the notices, 1 provider, 1 outcome (domain::broadcast::Outcome), 8 device number; big-endian.';
create index notice_batch_due on notice_batch (due_at) where state = 1;
create index notice_batch_open on notice_batch (created_at) where state = 0;

create table notice_day (
    day date not null,
    kind text collate "C" not null,
    unit text collate "C" not null,
    told bigint not null default 0,
    late bigint not null default 0,
    pushed bigint not null default 0,
    reached bigint not null default 0,
    devices bigint not null default 0,
    no_device bigint not null default 0,
    read bigint not null default 0,
    primary key (day, kind, unit)
);
comment on table notice_day is 'Sums for the report, by the day of the province on which the notices were told. Written with what they count, never apart from it.';
comment on column notice_day.unit is 'Who handled the case when it was told; empty: the focal office.';
comment on column notice_day.late is 'Told after the limit of what was owed.';
comment on column notice_day.reached is 'Taken by the provider of any phone; devices: phones.';

create table feedback_reject (
    number bigint generated always as identity primary key,
    reported_by uuid not null references officer,
    event_id text,
    at timestamptz not null default clock_timestamp(),
    reason jsonb not null
);
comment on table feedback_reject is 'Events that came by the broker and were refused, for their sender to read. Holds which rules were broken, not the event.';
create index feedback_reject_by_sender on feedback_reject (reported_by, number);
