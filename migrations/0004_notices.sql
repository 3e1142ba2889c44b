-- Part four: telling one person.

create table feedback_event (
    id text primary key check (length(id) between 1 and 200),
    kind text not null,
    subject text not null,
    body jsonb not null,
    reported_by uuid not null references officer,
    received_at timestamptz not null default now()
);
comment on table feedback_event is 'Events of the feedback system, once each by their id.';

create table notice_template (
    name text not null,
    version integer not null,
    sealed bytea not null,
    key_id text not null,
    signature bytea not null,
    primary key (name, version, key_id)
);
comment on table notice_template is 'Sealed texts of personal notices with declared bounds (invariant 1). The blanks hold an opaque id, never personal data.';

create table notice (
    id uuid primary key,
    event_id text not null unique references feedback_event,
    template text not null,
    template_version integer not null,
    subject text not null,
    language text not null default 'vi',
    state smallint not null default 0 check (state between 0 and 2),
    claim integer not null default 0,
    holder bigint,
    attempts smallint not null default 0,
    due_at timestamptz,
    expires_at timestamptz not null,
    created_at timestamptz not null default clock_timestamp(),
    done_at timestamptz
);
comment on table notice is 'One push to each device of one person. Unique by event: an event told twice notifies once.';
comment on column notice.state is '0 open, 1 due again at due_at, 2 final';
create index notice_due on notice (due_at) where state = 1;
create index notice_open on notice (created_at) where state = 0;

create table notice_delivery (
    notice_id uuid not null references notice,
    installation uuid not null,
    outcome smallint not null,
    at timestamptz not null default clock_timestamp(),
    primary key (notice_id, installation)
);
comment on table notice_delivery is 'What became of the notice on each device of the person (domain::broadcast::Outcome).';
