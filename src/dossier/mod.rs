//! The dossier of an alert, put together from what is stored, and set on paper.
//!
//! Reads only. Who may have one is decided by who may read the database and holds the key that signs it: the operator of `serve`.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::broadcast::progress::progress_of;
use crate::domain::audit::Walk;
use crate::domain::dossier::{
    Clause, Decided, Dossier, OfTemplate, Person, Reach, Review, SCHEMA, Sealed, Step, Trail,
    Written,
};
use crate::domain::id::AlertId;
use crate::domain::message::Purpose;
use crate::domain::seal::{SealedAgency, TrustedKeys, digest};
use crate::store::{StoreError, alert, audit, broadcast, document, dossier, seal, template};

/// A dossier on paper, for people.
pub mod page;

/// What every alert rests on: clause and gist, from the province's regulation.
const LEGAL_BASIS: [(&str, &str); 6] = [
    (
        "Khoản 1 Điều 12, Quy chế quản lý, vận hành và sử dụng Nền tảng Công dân số Cao Bằng",
        "Phạm vi: toàn bộ người dân trên địa bàn tỉnh đã cài đặt ứng dụng.",
    ),
    (
        "Khoản 2 Điều 12, Quy chế nêu trên",
        "Đơn vị đầu mối: Sở Khoa học và Công nghệ; chỉ cán bộ của đơn vị đầu mối được duyệt.",
    ),
    (
        "Khoản 3 Điều 12, Quy chế nêu trên",
        "Nguồn: văn bản, thông tin do cơ quan soạn thảo hoặc ban hành, có phạm vi ảnh hưởng đến toàn bộ người dân.",
    ),
    (
        "Khoản 4 Điều 12, Quy chế nêu trên",
        "Cơ quan cung cấp chịu hoàn toàn trách nhiệm trước Ủy ban nhân dân tỉnh về nội dung.",
    ),
    (
        "Khoản 1 Điều 13 (Bước 1 và Bước 2), Quy chế nêu trên",
        "Cơ quan gửi nội dung đến đơn vị đầu mối; đơn vị đầu mối đăng tải công khai.",
    ),
    (
        "Khoản 3 Điều 1, Quy chế nêu trên",
        "Không chứa bí mật nhà nước, không phải khiếu nại, tố cáo.",
    ),
];

/// Reads everything about an alert. The connection is in a transaction whose snapshot stands still.
pub async fn collect(
    conn: &mut PgConnection,
    id: AlertId,
    trusted: &TrustedKeys,
) -> Result<Option<Dossier>, StoreError> {
    let Some(found) = alert::find(conn, id).await? else { return Ok(None) };
    let mut sent = vec![(id, found.purpose)];
    sent.extend(dossier::executed(conn, id).await?);
    let (mut subjects, mut sealed, mut reach) = (Vec::new(), Vec::new(), Vec::new());
    let decisions = dossier::decisions(conn, id).await?;
    for (alert, purpose) in sent {
        subjects.push(alert.to_string());
        sealed.extend(seal_of(conn, (alert, purpose), &decisions, trusted).await?);
        if let Some(broadcast) = broadcast::of_alert(conn, alert).await? {
            subjects.push(broadcast.to_string());
            reach.extend(reach_of(conn, (alert, purpose), broadcast).await?);
        }
    }
    let trail = trail(conn, &subjects).await?;
    Ok(Some(Dossier {
        schema: SCHEMA,
        at: audit::now(conn).await?,
        alert: id,
        incident: found.incident,
        state: found.state,
        agency: SealedAgency { code: found.agency_code, name: found.agency_name },
        legal_basis: LEGAL_BASIS
            .map(|(cited, says)| Clause { cited: cited.to_owned(), says: says.to_owned() })
            .to_vec(),
        steps: steps(conn, &trail).await?,
        revisions: written(conn, id).await?,
        decisions,
        template: of_template(conn, id).await?,
        sealed,
        reach,
        trail,
    }))
}

async fn written(conn: &mut PgConnection, id: AlertId) -> Result<Vec<Written>, StoreError> {
    let mut all = Vec::new();
    for revision in alert::revisions(conn, id).await? {
        let document = match revision.document {
            Some(document) => document::describe(conn, document).await?,
            None => None,
        };
        all.push(Written {
            revision: revision.number,
            author: revision.author,
            author_name: revision.author_name,
            at: revision.created_at,
            content: revision.content,
            document,
            digest: revision.sealable.as_deref().map(digest),
        });
    }
    Ok(all)
}

async fn of_template(
    conn: &mut PgConnection,
    id: AlertId,
) -> Result<Option<OfTemplate>, StoreError> {
    let Some(used) = template::uses(conn, Some(id)).await?.pop() else { return Ok(None) };
    let broken = || StoreError::inconsistent("template_use", "template_id", id);
    let found = alert::find(conn, used.template).await?.ok_or_else(broken)?;
    let content = alert::revision(conn, used.template, found.revision).await?.content;
    let reviewed = used.reviewed_by_name.zip(used.reviewed_at).zip(used.finding);
    Ok(Some(OfTemplate {
        template: used.template,
        name: content.template.ok_or_else(broken)?.name,
        decisions: dossier::decisions(conn, used.template).await?,
        filled_by_name: used.filled_by_name,
        filled_at: used.filled_at,
        review: reviewed.map(|((officer_name, at), finding)| Review { officer_name, at, finding }),
    }))
}

async fn seal_of(
    conn: &mut PgConnection,
    (alert, purpose): (AlertId, Purpose),
    decisions: &[Decided],
    trusted: &TrustedKeys,
) -> Result<Option<Sealed>, StoreError> {
    let Some(stored) = seal::of_alert(conn, alert).await? else { return Ok(None) };
    // A prepared recall or all-clear was sealed together with its original: what was believed then counts.
    let approved = decisions.iter().find(|decision| decision.verdict == "approve");
    let at = approved.map_or(OffsetDateTime::UNIX_EPOCH, |decision| decision.at);
    let opened =
        trusted.as_of(at).open_any(alert, &stored.key_id, &stored.sealed, &stored.signature);
    Ok(Some(Sealed {
        alert,
        purpose,
        bytes: String::from_utf8_lossy(&stored.sealed).into_owned(),
        key_id: stored.key_id,
        signature: stored.signature,
        at,
        broken: opened.err().map(|error| error.to_string()),
    }))
}

async fn reach_of(
    conn: &mut PgConnection,
    (alert, purpose): (AlertId, Purpose),
    broadcast: crate::domain::id::BroadcastId,
) -> Result<Option<Reach>, StoreError> {
    let Some(progress) = progress_of(conn, broadcast).await? else { return Ok(None) };
    Ok(Some(Reach {
        alert,
        purpose,
        lane: progress.lane,
        began: alert::find(conn, alert).await?.and_then(|alert| alert.published_at),
        first_push: progress.first_push_at,
        completed: progress.completed_at,
        stopped: progress.stopped_at,
        parked: progress.parked_reason,
        providers: progress.providers.iter().map(|part| (part.provider, part.tally)).collect(),
    }))
}

async fn trail(conn: &mut PgConnection, subjects: &[String]) -> Result<Trail, StoreError> {
    let entries = dossier::entries(conn, subjects).await?;
    let walked = audit::walk_on(conn, Walk::from_the_beginning(), None).await?;
    let checkpoint = match entries.last() {
        Some(last) => dossier::covering(conn, last.seq).await?,
        None => None,
    };
    Ok(Trail { entries, broken: walked.err().map(|broken| broken.to_string()), checkpoint })
}

async fn steps(conn: &mut PgConnection, trail: &Trail) -> Result<Vec<Step>, StoreError> {
    let ids: Vec<Uuid> =
        trail.entries.iter().filter_map(|entry| entry.actor.parse().ok()).collect();
    let people = dossier::people(conn, &ids).await?;
    let named = |actor: &str| -> Option<Person> {
        people.iter().find(|person| person.id.to_string() == actor).cloned()
    };
    Ok(trail
        .entries
        .iter()
        .map(|entry| Step {
            seq: entry.seq,
            at: entry.at,
            action: entry.action.clone(),
            person: named(&entry.actor),
            actor: entry.actor.clone(),
        })
        .collect())
}
