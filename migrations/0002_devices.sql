-- Part two: the phones.

create table device_ceiling (
    provider smallint primary key check (provider between 0 and 2),
    last_number bigint not null default 0
);
comment on table device_ceiling is 'Last number handed out per provider. Handing out and reading take the row lock to the commit, so that no number at or below a ceiling that was read appears later.';
insert into device_ceiling (provider) values (0), (1), (2);

create table device (
    installation uuid primary key,
    provider smallint not null check (provider between 0 and 2),
    number bigint not null,
    kind smallint not null check (kind between 0 and 4),
    address text not null,
    address_hash bytea not null check (length(address_hash) = 32),
    p256dh bytea check (length(p256dh) = 65),
    auth bytea check (length(auth) = 16),
    vapid_key text,
    language text not null default 'vi',
    platform text,
    app_version text,
    subject text,
    secret_hash bytea check (length(secret_hash) = 32),
    state smallint not null default 0 check (state between 0 and 2),
    gone_at timestamptz,
    registered_at timestamptz not null default now(),
    seen_at timestamptz not null default now(),
    constraint device_webpush_keys check ((provider = 2) = (p256dh is not null and auth is not null and vapid_key is not null)),
    constraint device_number unique (provider, number)
);
comment on table device is 'One installation of the app, or one browser subscription.';
comment on column device.number is 'Dense within its provider, never reused. A device that comes back after it was gone, or changes provider, gets a new one.';
comment on column device.kind is '0 fcm_token, 1 fcm_fid, 2 apns production, 3 apns sandbox, 4 webpush';
comment on column device.address_hash is 'SHA-256 of kind and address: unique among devices that are not forgotten; the later registration wins.';
comment on column device.state is '0 active, 1 quarantined on its provider''s word, 2 unsubscribed or forgotten';
comment on column device.subject is 'Opaque id of the signed-in citizen, for personal notices.';
comment on column device.secret_hash is 'SHA-256 of the secret the first PUT returned; null after an import: the first PUT of that installation claims it.';
create unique index device_address on device (provider, address_hash) where state < 2;
create index device_active on device (provider, number) where state = 0;
create index device_subject on device (subject) where subject is not null and state = 0;
alter table device set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02, fillfactor = 90);

create table forgetting (
    provider smallint primary key check (provider between 0 and 2),
    suspended_at timestamptz,
    window_from timestamptz not null default '-infinity',
    window_sent bigint not null default 0,
    window_gone bigint not null default 0
);
comment on table forgetting is 'The brake: within an hour''s window, a share of dead answers above 3 × the 30-day norm (and at least 1,000) suspends forgetting until a person releases it.';
insert into forgetting (provider) values (0), (1), (2);

create table provider_day (
    provider smallint not null check (provider between 0 and 2),
    day date not null,
    sent bigint not null default 0,
    gone bigint not null default 0,
    primary key (provider, day)
);
comment on table provider_day is 'Answers a day, for the 30-day norm of dead addresses.';
