-- How far the audit trail had come, signed by the key that only `serve` holds: whoever can write every table can still not sign.

create table audit_checkpoint (
    serial bigint primary key check (serial >= 1),
    seq bigint not null unique,
    hash bytea not null check (length(hash) = 32),
    at timestamptz not null,
    previous text not null,
    key_id text not null,
    signature bytea not null
);
comment on table audit_checkpoint is 'Signed checkpoints of the audit trail. Append-only. Each also leaves the machine: a line in the log and a message on loa.events.';
comment on column audit_checkpoint.seq is 'The last entry it covers.';
comment on column audit_checkpoint.hash is 'That entry''s hash, which stands for all before it.';
comment on column audit_checkpoint.previous is 'SHA-256, hexadecimal, of the canonical bytes of the checkpoint before it; zeros for the first.';
comment on column audit_checkpoint.signature is 'Ed25519 by key_id over the canonical bytes, in a context of its own.';

-- Two servers at once, or a mistake, must not leave a checkpoint that does not fit: it would look like an attack for ever.
create function checkpoint_follows() returns trigger language plpgsql as $$
begin
    if new.serial <> (select coalesce(max(serial), 0) + 1 from audit_checkpoint)
        or new.seq <= (select coalesce(max(seq), 0) from audit_checkpoint)
        or not exists (select from audit where seq = new.seq and hash = new.hash) then
        raise exception 'a checkpoint follows the newest one and names an entry there is' using errcode = 'check_violation', constraint = 'checkpoint_follows';
    end if;
    return new;
end $$;
alter function checkpoint_follows() set search_path = pg_catalog, public, pg_temp;
create trigger audit_checkpoint_follows before insert on audit_checkpoint for each row execute function checkpoint_follows();
create trigger audit_checkpoint_append_only before update or delete on audit_checkpoint for each row execute function refuse_change();
create trigger audit_checkpoint_no_truncate before truncate on audit_checkpoint for each statement execute function refuse_change();

-- What may not be changed row by row may not be emptied either.
create trigger alert_revision_no_truncate before truncate on alert_revision for each statement execute function refuse_change();
create trigger decision_no_truncate before truncate on decision for each statement execute function refuse_change();
create trigger seal_no_truncate before truncate on seal for each statement execute function refuse_change();
create trigger prepared_recall_no_truncate before truncate on prepared_recall for each statement execute function refuse_change();
