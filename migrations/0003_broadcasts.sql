-- Part three: sending, and the ledger of what became of every device.

create table control (
    only_row boolean primary key default true check (only_row),
    epoch bigint not null default 0
);
comment on table control is 'Raised by every pause, resume and stop; dispatchers see it on their ping and acknowledge it.';
insert into control default values;

create table dispatcher (
    id uuid primary key,
    lock_key bigint not null unique,
    host text not null,
    release text not null,
    trusted_keys text[] not null,
    acked_epoch bigint not null default 0,
    in_flight integer not null default 0,
    parked jsonb not null default '{}',
    started_at timestamptz not null default now(),
    seen_at timestamptz not null default now()
);
comment on table dispatcher is 'Running loa dispatch processes. One is alive while its session holds the advisory lock lock_key.';
comment on column dispatcher.parked is 'Providers this process has parked, each with the reason, for the readiness page.';

create table broadcast (
    id uuid primary key,
    alert_id uuid not null unique references alert,
    lane text not null check (lane in ('emergency', 'personal', 'bulk')),
    state text not null check (state in ('waiting', 'planning', 'sending', 'completed')),
    paused boolean not null default false,
    stopped_at timestamptz,
    stop_epoch bigint,
    parked_reason text,
    after_epoch bigint,
    expires_at timestamptz not null,
    ceilings bigint[] check (array_length(ceilings, 1) = 3),
    created_at timestamptz not null default clock_timestamp(),
    planned_at timestamptz,
    completed_at timestamptz
);
comment on table broadcast is 'Exactly one per approved alert, written in the approval''s transaction.';
comment on column broadcast.state is 'waiting: for a stop of its original to be confirmed, or for bulk to be let go; planning; sending; completed';
comment on column broadcast.after_epoch is 'A recall starts when every live dispatcher has acknowledged this epoch (its original''s stop).';
comment on column broadcast.ceilings is 'Highest device number per provider at planning: the audience is the active devices at or below.';
comment on column broadcast.parked_reason is 'Set when the seal does not verify: nothing is sent and an alarm fires.';
create index broadcast_open on broadcast (created_at) where state <> 'completed';

create table batch (
    broadcast_id uuid not null references broadcast,
    provider smallint not null check (provider between 0 and 2),
    first bigint not null,
    last bigint not null,
    planned integer not null check (planned > 0),
    state smallint not null default 0 check (state between 0 and 2),
    claim integer not null default 0,
    holder bigint,
    attempts smallint not null default 0,
    due_at timestamptz,
    ledger bytea,
    accepted integer not null default 0,
    gone integer not null default 0,
    refused integer not null default 0,
    failed integer not null default 0,
    expired integer not null default 0,
    stopped integer not null default 0,
    withdrawn integer not null default 0,
    unknown integer not null default 0,
    pending integer not null,
    primary key (broadcast_id, provider, first),
    constraint batch_adds_up check (accepted + gone + refused + failed + expired + stopped + withdrawn + unknown + pending = planned),
    constraint batch_range check (last >= first)
);
comment on table batch is 'The ledger: one row per range of device numbers, one byte per number. Invariant 4 is the constraint batch_adds_up.';
comment on column batch.state is '0 open: a task is (or must be) in the queue; 1 due again at due_at; 2 final';
comment on column batch.claim is 'Raised by every claim; settling succeeds only for the holder of the current number.';
comment on column batch.holder is 'Advisory lock key of the dispatcher at work; free lock = the holder is dead.';
comment on column batch.ledger is 'Byte i is the outcome of number first + i (domain::broadcast::Outcome); null until first read.';
create index batch_due on batch (due_at) where state = 1;
create index batch_open on batch (broadcast_id) where state < 2;
alter table batch set (fillfactor = 80);

create table outbox (
    id bigint generated always as identity primary key,
    exchange text not null,
    routing_key text not null,
    body jsonb not null,
    trace text,
    created_at timestamptz not null default clock_timestamp()
);
comment on table outbox is 'What must happen because a fact was stored, in the same transaction. Deleted when the broker has confirmed it.';

create table permit (
    name text primary key,
    next_at timestamptz not null default '-infinity',
    share double precision not null default 1.0 check (share > 0 and share <= 1),
    share_at timestamptz not null default '-infinity',
    closed_until timestamptz not null default '-infinity',
    ramp_from timestamptz not null default '-infinity'
);
comment on table permit is 'One row per quota (fcm, apns, webpush:<origin>) from which all dispatchers lease permits, so that the fleet stays within it.';
comment on column permit.next_at is 'Generic cell rate: when the next permit falls due.';
comment on column permit.share is 'Halved by 429 at share_at, recovering additively.';
comment on column permit.ramp_from is 'When pushing last began after a pause; the rate grows from here.';

create table sent_event (
    broadcast_id uuid not null references broadcast,
    name text not null,
    at timestamptz not null default clock_timestamp(),
    primary key (broadcast_id, name)
);
comment on table sent_event is 'Milestones of a broadcast: first_push, planned, completed.';
