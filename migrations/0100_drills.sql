-- Drills take a lane of their own.

alter table broadcast drop constraint broadcast_lane_check;
alter table broadcast add constraint broadcast_lane_check check (lane in ('emergency', 'personal', 'bulk', 'drill'));
comment on column broadcast.lane is 'An index of what is sealed. drill: its batches number the members of the dispatchers'' drill group, not devices of the registry.';
