-- What a report about a month or a year is reckoned from, without opening every alert's words and every batch.

alter table alert_revision
    add column category text generated always as (content ->> 'category') stored,
    add column lane text generated always as (
        case when content ->> 'status' = 'exercise' then 'drill'
             when content ->> 'kind' = 'warning' and content ->> 'severity' in ('extreme', 'severe')
                  and content ->> 'urgency' in ('immediate', 'expected') then 'emergency'
             else 'bulk' end) stored,
    add column risk_level smallint generated always as ((content ->> 'risk_level')::smallint) stored,
    add column is_template boolean generated always as (content ? 'template') stored;
comment on column alert_revision.lane is
    'The lane these words ask for by themselves (AlertContent::lane; a test compares the two). What takes another''s place takes its lane.';

create index decision_by_time on decision (decided_at);
create index audit_submissions on audit (at) where action in ('alert.submitted', 'template.filled');
create index audit_submissions_of on audit (subject, at) where action in ('alert.submitted', 'template.filled');
create index notice_by_time on notice (created_at);
create index notice_taken on notice_delivery (at, notice_id) where outcome = 2;

-- What became of a broadcast that is over: its numbers no longer change, and its batches are many.
create table broadcast_result (
    broadcast_id uuid primary key references broadcast,
    audience bigint not null,
    accepted bigint not null,
    gone bigint not null,
    refused bigint not null,
    failed bigint not null,
    expired bigint not null,
    stopped bigint not null,
    withdrawn bigint not null,
    unknown bigint not null,
    accepted_by bigint[] not null check (array_length(accepted_by, 1) = 3),
    half_at timestamptz,
    nearly_all_at timestamptz,
    constraint broadcast_result_adds_up
        check (accepted + gone + refused + failed + expired + stopped + withdrawn + unknown = audience)
);
comment on table broadcast_result is 'Written once, when a broadcast completes. One without a row is reckoned from its batches.';
comment on column broadcast_result.accepted_by is 'Accepted, by provider in the order of their numbers.';
comment on column broadcast_result.half_at is
    'When half of the devices had a final outcome, as the due-scan saw it; null for what was completed before migration 0200.';
comment on column broadcast_result.nearly_all_at is 'The same for 99 of 100.';

insert into broadcast_result
select c.id, sum(b.planned), sum(b.accepted), sum(b.gone), sum(b.refused), sum(b.failed), sum(b.expired), sum(b.stopped), sum(b.withdrawn),
       sum(b.unknown), array[coalesce(sum(b.accepted) filter (where b.provider = 0), 0), coalesce(sum(b.accepted) filter (where b.provider = 1), 0),
       coalesce(sum(b.accepted) filter (where b.provider = 2), 0)], null, null
from broadcast c join batch b on b.broadcast_id = c.id
where c.state = 'completed' group by c.id having sum(b.pending) = 0;

create trigger broadcast_result_append_only before update or delete on broadcast_result for each row execute function refuse_change();

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
