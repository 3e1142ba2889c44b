//! A correction, or an all-clear that was not prepared: which published alert it takes the place of, and who may write it.

use sqlx::PgConnection;

use super::IntakeError;
use crate::domain::account::Officer;
use crate::domain::alert::{FollowUp, Follows, Status};
use crate::domain::id::{AlertId, IncidentId};
use crate::domain::lifecycle::Action;
use crate::domain::message::Purpose;
use crate::domain::seal::{Reference, Replaces, SealedAlert};
use crate::domain::violation::Violation;
use crate::store::StoreError;
use crate::store::alert::{self, Alert, Place};

/// Where it will stand. An alert that this officer's agency has no business with is one that does not exist.
pub(super) async fn place(
    conn: &mut PgConnection,
    officer: &Officer,
    follows: Follows,
    status: Status,
) -> Result<(IncidentId, Place), IntakeError> {
    let original = alert::find(conn, follows.alert).await?.ok_or(IntakeError::NotFound)?;
    if original.agency != officer.agency
        && !alert::writes_for(conn, original.incident, officer.agency).await?
    {
        return Err(IntakeError::NotFound);
    }
    check_not_overtaken(conn, original.id).await?;
    original.state.after(Action::Supersede)?;
    match (follows.how, original.purpose) {
        (FollowUp::AllClear, Purpose::Recall | Purpose::AllClear) => {
            return Err(IntakeError::Invalid(vec![Violation::new(
                "follows.alert",
                "nothing_to_end",
                "Tin này đã là tin thu hồi hoặc báo yên, không còn gì để báo yên.",
                "This is a recall or an all-clear: there is no danger left to end.",
            )]));
        }
        (FollowUp::AllClear, Purpose::Alert | Purpose::Correction)
        | (
            FollowUp::Correction,
            Purpose::Alert | Purpose::Recall | Purpose::Correction | Purpose::AllClear,
        ) => {}
    }
    check_same_status(conn, &original, status).await?;
    let place = Place { version: original.version + 1, refers_to: Some(original.id) };
    Ok((original.incident, place))
}

/// Where a draft stands after it was written anew: where it stood, unless it names the newer alert that has come between.
pub(super) async fn place_again(
    conn: &mut PgConnection,
    officer: &Officer,
    found: &Alert,
    (asked, status): (Option<Follows>, Status),
) -> Result<Place, IntakeError> {
    let Some(follows) = asked else {
        if let Some(original) = found.refers_to {
            let broken = || StoreError::inconsistent("alert", "refers_to", found.id);
            let original = alert::find(conn, original).await?.ok_or_else(broken)?;
            check_same_status(conn, &original, status).await?;
        }
        return Ok(Place { version: found.version, refers_to: found.refers_to });
    };
    if found.purpose != follows.how.purpose() {
        return Err(IntakeError::Invalid(vec![Violation::new(
            "follows.as",
            "fixed",
            "Một tin không đổi thành đính chính hay báo yên được. Hãy tạo tin mới.",
            "An alert does not become a correction or an all-clear, nor one the other. Begin a new one.",
        )]));
    }
    let (incident, place) = self::place(conn, officer, follows, status).await?;
    if incident != found.incident {
        return Err(IntakeError::Invalid(vec![Violation::new(
            "follows.alert",
            "other_incident",
            "Tin này thay thế cho tin của một sự việc khác. Hãy tạo tin mới.",
            "This takes the place of an alert of another incident. Begin a new one.",
        )]));
    }
    Ok(place)
}

/// What follows a drill is a drill, and what follows something real is real: said by whoever writes it, never guessed.
async fn check_same_status(
    conn: &mut PgConnection,
    original: &Alert,
    status: Status,
) -> Result<(), IntakeError> {
    let known = alert::revision(conn, original.id, original.revision).await?.content.status;
    if known == status {
        return Ok(());
    }
    let (vi, en) = match known {
        Status::Exercise => (
            "Tin gốc là diễn tập: tin này cũng phải ghi status: exercise.",
            "The original is a drill: this one must say status: exercise as well.",
        ),
        Status::Actual => (
            "Tin gốc là tin thật: không thể dùng tin diễn tập để đính chính hay báo yên.",
            "The original is real: a drill cannot correct or end it.",
        ),
    };
    Err(IntakeError::Invalid(vec![Violation::new("status", "not_as_the_original", vi, en)]))
}

/// Says at once what the approval would be refused for.
pub(super) async fn check_not_overtaken(
    conn: &mut PgConnection,
    original: AlertId,
) -> Result<(), IntakeError> {
    match alert::successor(conn, original).await? {
        Some(by) => Err(IntakeError::Overtaken { by }),
        None => Ok(()),
    }
}

/// What is sealed of it: read from the bytes that were approved.
pub(super) async fn replaces(
    conn: &mut PgConnection,
    how: FollowUp,
    original: AlertId,
) -> Result<Replaces, IntakeError> {
    let broken = || StoreError::inconsistent("alert_revision", "sealable", original);
    let found = alert::find(conn, original).await?.ok_or_else(broken)?;
    let bytes = alert::revision(conn, original, found.revision).await?.sealable;
    let bytes = bytes.ok_or_else(broken)?;
    let sealed: SealedAlert = serde_json::from_slice(&bytes).map_err(|_| broken())?;
    let mut references = vec![Reference { id: sealed.id, version: sealed.version }];
    references.extend(sealed.references);
    Ok(Replaces { how, status: sealed.status, lane: sealed.lane, references })
}
