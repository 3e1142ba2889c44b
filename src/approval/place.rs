//! One alert takes another's place: the incident is locked, the earlier one's broadcast is asked to stop, and the later one waits until
//! every dispatcher has obeyed. What a recall, an all-clear and a correction have in common.

use sqlx::PgConnection;

use super::ApprovalError;
use super::review::read;
use crate::domain::alert::AlertContent;
use crate::domain::id::{AlertId, BroadcastId};
use crate::domain::lifecycle::Action;
use crate::domain::message::Purpose;
use crate::domain::seal::SealedAlert;
use crate::domain::timing::Begins;
use crate::store::StoreError;
use crate::store::alert::{self, Alert, NewRevision};
use crate::store::broadcast::{self, NewBroadcast};
use crate::store::decision::{self, Signed};
use crate::store::prepared::Prepared;
use crate::telemetry::TraceParent;

/// Locks the incident of an alert, then the alert itself.
pub(super) async fn lock(conn: &mut PgConnection, id: AlertId) -> Result<Alert, ApprovalError> {
    alert::lock_incident(conn, id).await?.ok_or(ApprovalError::NotFound)?;
    alert::lock(conn, id).await?.ok_or(ApprovalError::NotFound)
}

/// The same, if the alert was published: with every published alert of its incident, the newest first.
pub(super) async fn lock_published(
    conn: &mut PgConnection,
    id: AlertId,
) -> Result<(Alert, Vec<Alert>), ApprovalError> {
    let found = lock(conn, id).await?;
    let published = alert::published(conn, found.incident).await?;
    Ok((found, published))
}

/// Asks every dispatcher to stop whatever is still being sent of these alerts. Returns the epoch that their successor has to wait for,
/// also when somebody else has asked shortly before; nothing when all of it is over.
pub(super) async fn stop(
    conn: &mut PgConnection,
    alerts: &[Alert],
) -> Result<Option<i64>, ApprovalError> {
    let mut last = None;
    for earlier in alerts {
        let Some(broadcast) = broadcast::of_alert(conn, earlier.id).await? else { continue };
        let epoch = match broadcast::request_stop(conn, broadcast).await? {
            Some(epoch) => Some(epoch),
            None => decision::pending_stop(conn, broadcast).await?,
        };
        last = last.max(epoch);
    }
    Ok(last)
}

/// Ends the alert whose place this one takes, and asks for the stop of what is still being sent of it; returns the epoch to wait for. It
/// must be the newest word of its incident, and the one that the sealed bytes name.
pub(super) async fn supersede(
    conn: &mut PgConnection,
    found: &Alert,
    sealed: &SealedAlert,
) -> Result<Option<i64>, ApprovalError> {
    let broken = || StoreError::inconsistent("alert", "refers_to", found.id);
    match sealed.purpose {
        Purpose::Alert if found.refers_to.is_none() && sealed.references.is_empty() => {
            return Ok(None);
        }
        Purpose::Correction | Purpose::AllClear => {}
        Purpose::Alert | Purpose::Recall => return Err(broken().into()),
    }
    let original = found.refers_to.ok_or_else(broken)?;
    let published = alert::published(conn, found.incident).await?;
    let newest = published.first().ok_or_else(broken)?;
    if original != newest.id {
        return Err(ApprovalError::Overtaken { by: newest.id });
    }
    let bytes = alert::revision(conn, newest.id, newest.revision).await?.sealable;
    if read(newest.id, &bytes.ok_or_else(broken)?)?.status != sealed.status {
        return Err(broken().into());
    }
    let named = sealed.references.first().map(|earlier| (earlier.id, earlier.version));
    let fits = named == Some((newest.id, newest.version))
        && (sealed.incident, sealed.version) == (newest.incident, found.version)
        && sealed.version > newest.version;
    if !fits {
        return Err(broken().into());
    }
    newest.state.after(Action::Supersede)?;
    let epoch = stop(conn, &published).await?;
    alert::become_superseded(conn, newest.id).await?;
    Ok(epoch)
}

/// Makes public what was sealed together with `original`, with the seal it was prepared with, and begins its broadcast.
pub(super) async fn publish(
    conn: &mut PgConnection,
    original: &Alert,
    prepared: &Prepared,
    sealed: &SealedAlert,
    after_epoch: Option<i64>,
    trace: Option<&TraceParent>,
) -> Result<BroadcastId, ApprovalError> {
    let (id, expires) = (prepared.id, sealed.expires);
    alert::insert_prepared(conn, id, sealed.purpose, sealed.version, expires, original).await?;
    let current = alert::revision(conn, original.id, original.revision).await?;
    let content = AlertContent {
        texts: sealed.texts.clone(),
        effective: sealed.effective,
        send_at: None,
        expires,
        recall: None,
        all_clear: None,
        follows: None,
        ..current.content
    };
    let revision = NewRevision {
        alert: id,
        number: 1,
        content: &content,
        document: current.document,
        author: current.author,
        sealable: Some(&prepared.sealed),
        recall: None,
        all_clear: None,
    };
    alert::insert_revision(conn, &revision).await?;
    let seal = Signed {
        sealed: &prepared.sealed,
        key_id: &prepared.key_id,
        signature: &prepared.signature,
    };
    decision::insert_seal(conn, id, &seal).await?;
    let new = NewBroadcast {
        alert: id,
        lane: sealed.lane,
        expires,
        after_epoch,
        begins: Begins::Now,
        counts_for_day: false,
    };
    Ok(broadcast::create(conn, new, trace.map(TraceParent::as_str)).await?)
}

/// Reads what was prepared with `original` for this purpose; refuses what nobody could be told in time any more.
///
/// Its seal would hold wherever it lies: one that was moved here from another alert would take that one's place.
pub(super) async fn in_time(
    conn: &mut PgConnection,
    original: &Alert,
    prepared: &Prepared,
    purpose: Purpose,
) -> Result<SealedAlert, ApprovalError> {
    let sealed = read(prepared.id, &prepared.sealed)?;
    let of_original = alert::revision(conn, original.id, original.revision).await?.content.status;
    let is_about_it = sealed.purpose == purpose
        && sealed.incident == original.incident
        && sealed.references.iter().any(|reference| reference.id == original.id)
        && sealed.status == of_original;
    if !is_about_it {
        return Err(StoreError::inconsistent("prepared", "sealed", original.id).into());
    }
    if sealed.expires <= alert::database_now(conn).await? {
        return Err(ApprovalError::TooLate);
    }
    Ok(sealed)
}
