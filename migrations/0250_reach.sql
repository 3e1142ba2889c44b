-- How many devices speak which language, counted every minute: counting a million takes longer than a page may.

create table device_reach (
    provider smallint not null check (provider between 0 and 2),
    language text not null,
    devices bigint not null check (devices > 0),
    counted_at timestamptz not null,
    primary key (provider, language)
);
comment on table device_reach is 'Active devices as upkeep last counted them, all rows at once; what an approval really reaches is counted when it is planned.';
