-- A lock that a claim tries for a moment is shared, so that two claims on a dead dispatcher's batches do not refuse each other.
-- Only the exclusive one says "alive".
create or replace view live_dispatcher as
select d.*
from dispatcher d
join pg_locks l
  on l.locktype = 'advisory' and l.granted and l.objsubid = 1 and l.mode = 'ExclusiveLock'
 and l.database = (select oid from pg_database where datname = current_database())
 and l.classid = (d.lock_key >> 32)::oid
 and l.objid = (d.lock_key & 4294967295)::oid;

alter table dispatcher add column lost_at timestamptz;
comment on column dispatcher.lost_at is
    'When its lock was first seen free. Its process may go on for one second after losing it, until its own gate closes.';
