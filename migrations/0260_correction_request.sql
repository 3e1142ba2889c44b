-- An approver asks an agency to correct what was sent: the form is there, filled in from the alert, before the agency opens it.

create table correction_request (
    id bigint generated always as identity primary key,
    alert_id uuid not null references alert,
    draft_id uuid not null,
    asked_by uuid not null references officer,
    reason text not null check (octet_length(reason) between 1 and 8000),
    asked_at timestamptz not null default clock_timestamp()
);
comment on table correction_request is 'Append-only. Who asked for which alert to be corrected, and why; no words of it are sent.';
comment on column correction_request.draft_id is 'The working copy that was made for it, and the correction that this becomes.';
-- The same button pressed twice is one request.
create unique index correction_request_once on correction_request (draft_id, asked_by, hashtextextended(reason, 0));
create index correction_request_by_alert on correction_request (alert_id);
create trigger correction_request_append_only before update or delete on correction_request for each row execute function refuse_change();
