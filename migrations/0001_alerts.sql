-- Part one of the story: who may speak, what they wrote, who decided, what was sealed.

create table agency (
    id uuid primary key,
    code text not null unique,
    name text not null,
    is_focal_unit boolean not null default false,
    created_at timestamptz not null default now()
);
comment on table agency is 'Units of the province. Exactly one is the focal unit (Sở KH&CN, QC-CB 12.2).';
create unique index agency_one_focal_unit on agency (is_focal_unit) where is_focal_unit;

create table officer (
    id uuid primary key,
    agency_id uuid not null references agency,
    name text not null,
    login text not null unique,
    role text not null check (role in ('submitter', 'approver', 'operator', 'auditor', 'administrator', 'system')),
    password_hash text,
    is_demo boolean not null default false,
    created_at timestamptz not null default now(),
    disabled_at timestamptz
);
comment on table officer is 'A person (or a neighbouring system) that acts for an agency in one role.';
comment on column officer.password_hash is 'Argon2id in PHC form; null: cannot sign in to the console.';
comment on column officer.is_demo is 'Made by the demo. Outside demo mode the service refuses to start while one is enabled.';

create function approver_belongs_to_focal_unit() returns trigger language plpgsql as $$
begin
    if new.role = 'approver' and not exists (select from agency where id = new.agency_id and is_focal_unit) then
        raise exception 'only an officer of the focal unit may approve (QC-CB 12.2)' using errcode = 'check_violation';
    end if;
    return new;
end $$;
create trigger officer_approver before insert or update on officer
    for each row execute function approver_belongs_to_focal_unit();

create table api_key (
    id uuid primary key,
    officer_id uuid not null references officer,
    label text not null,
    secret_hash bytea not null unique check (length(secret_hash) = 32),
    is_demo boolean not null default false,
    created_at timestamptz not null default now(),
    revoked_at timestamptz
);
comment on table api_key is 'A key belongs to an officer. Only the SHA-256 of its 256-bit random secret is kept.';

create table broker_user (
    user_id text primary key,
    officer_id uuid not null references officer
);
comment on table broker_user is 'Which officer a RabbitMQ user (validated user-id) acts as.';

create table console_session (
    token_hash bytea primary key check (length(token_hash) = 32),
    officer_id uuid not null references officer,
    created_at timestamptz not null default now(),
    seen_at timestamptz not null default now(),
    expires_at timestamptz not null
);
comment on table console_session is 'Signed-in people. Only the hash of the cookie is kept.';

create table document (
    id uuid primary key,
    sha256 bytea not null check (length(sha256) = 32),
    media_type text not null check (media_type in ('application/pdf', 'image/jpeg', 'image/png')),
    content bytea not null check (length(content) <= 20971520),
    created_by uuid not null references officer,
    created_at timestamptz not null default now()
);
comment on table document is 'Source documents (văn bản), as uploaded. At most 20 MiB.';
alter table document alter column content set storage external;

create table alert (
    id uuid primary key,
    incident_id uuid not null,
    version integer not null default 1 check (version >= 1),
    purpose text not null default 'alert' check (purpose in ('alert', 'recall')),
    refers_to uuid references alert,
    agency_id uuid not null references agency,
    state text not null check (state in ('draft', 'submitted', 'returned', 'rejected', 'live', 'expired', 'superseded', 'recalled')),
    revision integer not null default 1 check (revision >= 1),
    created_by uuid not null references officer,
    created_at timestamptz not null default now(),
    submitted_by uuid references officer,
    submitted_at timestamptz,
    published_at timestamptz,
    expires_at timestamptz not null,
    ended_at timestamptz,
    constraint alert_incident_version unique (incident_id, version),
    constraint alert_submitted check (state in ('draft', 'returned') or submitted_by is not null),
    constraint alert_published check (state in ('draft', 'submitted', 'returned', 'rejected') or published_at is not null)
);
comment on table alert is 'Where each alert stands. What it says is in alert_revision; what was approved, in seal.';
comment on column alert.revision is 'The revision that is current: the only one that can be submitted or approved.';
create index alert_waiting on alert (submitted_at) where state = 'submitted';
create index alert_by_agency on alert (agency_id, id desc);
create index alert_public on alert (published_at desc) where published_at is not null;

create table alert_revision (
    alert_id uuid not null references alert,
    revision integer not null check (revision >= 1),
    content jsonb not null,
    document_id uuid references document,
    author uuid not null references officer,
    created_at timestamptz not null default now(),
    sealable bytea,
    recall_id uuid,
    recall_sealable bytea,
    primary key (alert_id, revision),
    constraint alert_revision_recall check ((recall_id is null) = (recall_sealable is null))
);
comment on table alert_revision is 'What an agency wrote, immutable (QC-CB 12.4). A change is a new revision with its author.';
comment on column alert_revision.sealable is 'The canonical bytes an approval of this revision binds; null while no document is attached.';
comment on column alert_revision.recall_sealable is 'The same for its prepared recall.';

create table decision (
    id bigint generated always as identity primary key,
    alert_id uuid not null references alert,
    revision integer not null,
    verdict text not null check (verdict in ('approve', 'return', 'reject', 'recall')),
    officer_id uuid not null references officer,
    digest text,
    reason text,
    attests_whole_province boolean not null default false,
    attests_no_state_secret boolean not null default false,
    decided_at timestamptz not null default clock_timestamp(),
    foreign key (alert_id, revision) references alert_revision (alert_id, revision),
    constraint decision_says_why check (verdict in ('approve', 'recall') or length(reason) > 0),
    constraint decision_approve_attests check (verdict <> 'approve' or (attests_whole_province and attests_no_state_secret and digest is not null))
);
comment on table decision is 'Who decided what about exactly which bytes. Append-only.';
create unique index decision_one_approval on decision (alert_id) where verdict = 'approve';

create function approver_is_not_submitter() returns trigger language plpgsql as $$
begin
    if new.verdict = 'approve' and exists (
        select from alert a join alert_revision r on r.alert_id = a.id and r.revision = new.revision
        where a.id = new.alert_id and new.officer_id in (a.submitted_by, r.author)
    ) then
        raise exception 'the person who submitted a revision never approves it' using errcode = 'check_violation', constraint = 'approver_is_not_submitter';
    end if;
    return new;
end $$;
create trigger decision_two_people before insert on decision for each row execute function approver_is_not_submitter();

create table seal (
    alert_id uuid primary key references alert,
    sealed bytea not null,
    key_id text not null,
    signature bytea not null,
    sealed_at timestamptz not null default clock_timestamp()
);
comment on table seal is 'The bytes that were approved and their signature. Dispatchers verify and parse these bytes; every column elsewhere is only an index.';

create table prepared_recall (
    original_id uuid primary key references alert,
    recall_id uuid not null unique,
    sealed bytea not null,
    key_id text not null,
    signature bytea not null
);
comment on table prepared_recall is 'The recall sealed together with its original, so that one approver can execute it at once.';

create table idempotency (
    officer_id uuid not null references officer,
    key text not null check (length(key) between 1 and 200),
    request_hash bytea not null check (length(request_hash) = 32),
    status smallint,
    answer jsonb,
    created_at timestamptz not null default now(),
    primary key (officer_id, key)
);
comment on table idempotency is 'What a repeated Idempotency-Key or message-id is answered with.';

create table audit (
    seq bigint primary key,
    at timestamptz not null,
    actor text not null,
    action text not null,
    subject text not null,
    detail jsonb not null,
    previous bytea not null,
    hash bytea not null
);
comment on table audit is 'Hash chain: hash = SHA-256(previous ‖ canonical row). Append-only. `loa verify` walks it.';

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only', tg_table_name using errcode = 'insufficient_privilege';
end $$;
create trigger alert_revision_append_only before update or delete on alert_revision for each row execute function refuse_change();
create trigger decision_append_only before update or delete on decision for each row execute function refuse_change();
create trigger seal_append_only before update or delete on seal for each row execute function refuse_change();
create trigger prepared_recall_append_only before update or delete on prepared_recall for each row execute function refuse_change();
create trigger audit_append_only before update or delete on audit for each row execute function refuse_change();
create trigger audit_no_truncate before truncate on audit for each statement execute function refuse_change();
