-- What takes an alert's place also waits until what was on the way has been answered.

alter table dispatcher add column settled_epoch bigint not null default 0;
comment on column dispatcher.settled_epoch is
    'The last epoch obeyed at a moment when no request of anything stopped was without its answer. A process of a release before leaves it.';

create or replace view live_dispatcher as
select d.*
from dispatcher d
join pg_locks l
  on l.locktype = 'advisory' and l.granted and l.objsubid = 1 and l.mode = 'ExclusiveLock'
 and l.database = (select oid from pg_database where datname = current_database())
 and l.classid = (d.lock_key >> 32)::oid
 and l.objid = (d.lock_key & 4294967295)::oid;
