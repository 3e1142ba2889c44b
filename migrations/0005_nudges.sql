-- Who is alive, and the nudges that save a poll. A lost nudge costs at most the poll's 500 ms, never a fact.

create view live_dispatcher as
select d.*
from dispatcher d
join pg_locks l
  on l.locktype = 'advisory' and l.granted and l.objsubid = 1
 and l.database = (select oid from pg_database where datname = current_database())
 and l.classid = (d.lock_key >> 32)::oid
 and l.objid = (d.lock_key & 4294967295)::oid;
comment on view live_dispatcher is 'Dispatchers whose session still holds its advisory lock.';

create function nudge_outbox() returns trigger language plpgsql as $$
begin
    perform pg_notify('loa_outbox', '');
    return null;
end $$;
create trigger outbox_nudge after insert on outbox for each statement execute function nudge_outbox();

create function nudge_control() returns trigger language plpgsql as $$
begin
    perform pg_notify('loa_control', new.epoch::text);
    return null;
end $$;
create trigger control_nudge after update on control for each row execute function nudge_control();
