-- How a broadcast went, for whoever looks at it: which errors the providers answered with, how many devices it had reached when, and what was
-- forecast of it. Nothing of this decides what is sent.

alter table batch add column errors jsonb check (jsonb_typeof(errors) = 'object');
comment on column batch.errors is
    'How often each kind of error was answered, over all attempts (domain::error_kind::ErrorKind); null: never. A process of a release before leaves it.';

alter table broadcast add column forecast double precision[] check (array_length(forecast, 1) = 3);
comment on column broadcast.forecast is
    'Seconds until half, 99 of 100 and the last of its devices, as reckoned when its audience was known; null: not paced, or planned by a release before.';

create table reached (
    broadcast_id uuid not null references broadcast,
    percent smallint not null check (percent between 0 and 100),
    at timestamptz not null default clock_timestamp(),
    settled bigint check (settled >= 0),
    accepted bigint check (accepted between 0 and settled),
    primary key (broadcast_id, percent)
);
comment on table reached is 'When so many per cent of a broadcast''s devices had a final outcome, at the first scan after it: at most one row for each per cent.';
comment on column reached.settled is 'How many had a final outcome then; null: not noted by the release of that time.';
comment on column reached.accepted is 'How many of them had been accepted.';

insert into reached (broadcast_id, percent, at)
select broadcast_id, case name when 'half' then 50 else 99 end, at from sent_event where name in ('half', 'nearly_all');
delete from sent_event where name in ('half', 'nearly_all');
comment on table sent_event is 'Milestones of a broadcast: first_push.';
