-- Canaries: every few minutes one small probe per provider to the operator's own devices, over the road an emergency takes.

create table canary (
    provider smallint primary key check (provider between 0 and 2),
    probed_at timestamptz
);
comment on table canary is 'Whose turn the next probe is: a dispatcher takes it by moving probed_at on, so that however many there are, one probes.';
comment on column canary.probed_at is 'When the last probe was begun, by the database''s clock. Null: never, or it was given back before anything had left.';
insert into canary (provider) values (0), (1), (2);

create table canary_probe (
    id uuid primary key,
    provider smallint not null references canary,
    begun_at timestamptz not null,
    every_seconds integer not null check (every_seconds > 0),
    host text not null,
    devices integer not null check (devices > 0),
    accepted integer not null default 0 check (accepted between 0 and devices),
    dead_lines integer[] not null default '{}',
    outcome text check (outcome in ('accepted', 'dead', 'refused', 'unanswered', 'later', 'parked', 'malformed', 'unsent', 'unsealed')),
    detail text,
    took_ms integer check (took_ms >= 0),
    constraint canary_probe_done check ((outcome is null) = (took_ms is null)),
    constraint canary_probe_accepted check ((outcome is not distinct from 'accepted') = (accepted > 0))
);
comment on table canary_probe is 'What became of each probe, for a week. No address stands here.';
comment on column canary_probe.every_seconds is 'How often the dispatcher that made it probes.';
comment on column canary_probe.dead_lines is 'Lines of the group''s file whose address its provider calls dead.';
comment on column canary_probe.outcome is 'Null: under way, or its dispatcher died under way.';
comment on column canary_probe.detail is 'The first refusal in the provider''s words.';
create index canary_probe_latest on canary_probe (provider, begun_at desc);
