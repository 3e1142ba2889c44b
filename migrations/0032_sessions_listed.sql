-- A person sees their own sessions, and ends one that is not theirs.

alter table console_session add column id uuid not null default gen_random_uuid();
alter table console_session add constraint console_session_id unique (id);
alter table console_session add column address text;
comment on column console_session.id is 'Names it on its owner''s page; opens nothing.';
comment on column console_session.address is 'Where it was begun, as the trusted proxies say: the subscriber''s network.';
create index console_session_of_officer on console_session (officer_id);
