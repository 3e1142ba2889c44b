-- An approver asks an agency to correct what was sent: the form is there, filled in from the alert, before the agency opens it.

create table correction_request (
    id bigint generated always as identity primary key,
    alert_id uuid not null references alert,
    draft_id uuid not null,
    asked_by uuid not null references officer,
    reason text not null check (reason <> '' and length(reason) <= 4000),
    asked_at timestamptz not null default clock_timestamp(),
    unique (alert_id, asked_by, reason)
);
comment on table correction_request is 'Append-only. Who asked for which alert to be corrected, and why; no words of it are sent.';
comment on column correction_request.draft_id is 'The working copy that was made for it, and the correction that this becomes.';
create index correction_request_by_draft on correction_request (draft_id);
create trigger correction_request_append_only before update or delete on correction_request for each row execute function refuse_change();
