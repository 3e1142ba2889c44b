-- What begins later than it is approved. Until then it is neither public nor planned, and can be called off.

alter table alert drop constraint alert_state_check;
alter table alert add constraint alert_state_check
    check (state in ('draft', 'submitted', 'returned', 'rejected', 'scheduled', 'cancelled', 'live', 'expired', 'superseded', 'recalled'));
alter table alert drop constraint alert_published;
alter table alert add constraint alert_published
    check (state in ('draft', 'submitted', 'returned', 'rejected', 'scheduled', 'cancelled') or published_at is not null);
alter table alert add constraint alert_not_begun check (state not in ('scheduled', 'cancelled') or published_at is null);

alter table broadcast drop constraint broadcast_state_check;
alter table broadcast add constraint broadcast_state_check check (state in ('scheduled', 'waiting', 'planning', 'sending', 'completed'));
comment on column broadcast.state is
    'scheduled: not before begins_at; waiting: for a stop of its original to be confirmed, or for bulk to be let go; planning; sending; completed';

alter table broadcast add column begins_at timestamptz;
comment on column broadcast.begins_at is
    'When it was to begin, if later than it was approved. An index: before the sealed send_at dispatchers start nothing, whatever stands here.';
alter table broadcast add column waits_for text check (waits_for in ('send_at', 'quiet_hours', 'next_day'));
comment on column broadcast.waits_for is 'Why it was to begin later.';
alter table broadcast add constraint broadcast_begins check ((begins_at is null) = (waits_for is null) and (state <> 'scheduled' or begins_at is not null));
alter table broadcast add column counts_for_day boolean not null default false;
comment on column broadcast.counts_for_day is 'An announcement: only so many begin on one day.';
alter table broadcast add column held_until timestamptz;
comment on column broadcast.held_until is 'Bulk that waits for an emergency to end goes out then at the latest; written by the scan that lets it go.';

create index broadcast_scheduled on broadcast (begins_at) where state = 'scheduled';
create index broadcast_of_day on broadcast (coalesce(begins_at, created_at)) where counts_for_day;
