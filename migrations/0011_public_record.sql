-- Part five: the public record is served from memory; this tells the processes that serve it when to look again.

create function nudge_public_record() returns trigger language plpgsql as $$
begin
    perform pg_notify('loa_public', new.id::text);
    return null;
end $$;
comment on function nudge_public_record is 'A nudge, sent at commit, so that nobody who publishes can forget it. The guarantee is each process''s own look every 500 ms.';
create trigger alert_public_nudge after insert or update on alert
    for each row when (new.published_at is not null) execute function nudge_public_record();

create index document_by_digest on document (sha256);
comment on index document_by_digest is 'Public pages fetch a source document by the digest that was sealed, never by a column somebody could point elsewhere.';
