-- Working time (QC-CB 9.2): the days off that the government announces each year, and the weekends that are worked in exchange.

create table working_year (
    year smallint not null check (year between 2020 and 2100),
    version integer not null check (version > 0),
    off date[] not null,
    worked date[] not null,
    source text not null check (octet_length(source) between 1 and 2000),
    kept_by uuid not null references officer,
    kept_at timestamptz not null default clock_timestamp(),
    primary key (year, version)
);
comment on table working_year is 'Append-only: a year that is changed gets another version, and the newest counts. A year without any is counted by the law alone.';
comment on column working_year.source is 'The announcement it was taken from, by number and date.';
create trigger working_year_append_only before update or delete on working_year for each row execute function refuse_change();
