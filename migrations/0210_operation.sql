-- The operator's page asks every other second for what was under way within the hour.

create index broadcast_completed on broadcast (completed_at) where completed_at is not null;
comment on index broadcast_completed is 'What was under way within the hour, without reading every broadcast there ever was.';
