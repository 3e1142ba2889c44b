//! Pause, resume, stop, cancel, recall, all-clear: what an officer does to a broadcast in flight, and what can be promised about it.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use super::asked::{At, Button, Ours, RecallButton};
use super::frame::{NoticePage, answer};
use super::visit::Visit;
use super::{Console, refusal};
use crate::approval::ApprovalError;
use crate::approval::cancel::Cancelled;
use crate::broadcast::control::{self, Confirmation, SteerError};
use crate::broadcast::progress::progress;
use crate::domain::account::Power;
use crate::domain::id::{AlertId, BroadcastId};
use crate::domain::wording::{self, Tongue};
use crate::telemetry::TraceParent;

/// `POST /console/broadcasts/{id}/pause`
pub async fn pause(
    State(console): State<Arc<Console>>,
    At(id): At<BroadcastId>,
    Ours { visit, .. }: Ours<Button>,
) -> Response {
    if let Some(refused) = refuse(&console, &visit, id).await {
        return refused;
    }
    let officer = visit.officer().id;
    let done = control::pause(&console.pool, console.clock.as_ref(), officer, id).await;
    let title = visit.t.pick("Đã tạm dừng", "Paused");
    confirmed(&visit, id, title, done)
}

/// `POST /console/broadcasts/{id}/stop`
pub async fn stop(
    State(console): State<Arc<Console>>,
    At(id): At<BroadcastId>,
    Ours { visit, .. }: Ours<Button>,
) -> Response {
    if let Some(refused) = refuse(&console, &visit, id).await {
        return refused;
    }
    let officer = visit.officer().id;
    let done = control::stop(&console.pool, console.clock.as_ref(), officer, id).await;
    confirmed(&visit, id, visit.t.pick("Đã dừng hẳn", "Stopped"), done)
}

/// `POST /console/broadcasts/{id}/resume`
pub async fn resume(
    State(console): State<Arc<Console>>,
    At(id): At<BroadcastId>,
    Ours { visit, .. }: Ours<Button>,
) -> Response {
    if let Some(refused) = refuse(&console, &visit, id).await {
        return refused;
    }
    match control::resume(&console.pool, visit.officer().id, id).await {
        Ok(()) => Redirect::to(&format!("/console/broadcasts/{id}")).into_response(),
        Err(error) => not_steered(&visit, &error),
    }
}

/// `POST /console/alerts/{id}/recall`
pub async fn recall(
    State(console): State<Arc<Console>>,
    At(id): At<AlertId>,
    Ours { visit, form }: Ours<RecallButton>,
) -> Response {
    let trace = TraceParent::current();
    match console.approval.recall(visit.officer(), id, form.recall, trace.as_ref()).await {
        Ok(recalled) => {
            Redirect::to(&format!("/console/broadcasts/{}", recalled.broadcast)).into_response()
        }
        Err(error) => refusal::page(visit.frame(), id, &error),
    }
}

/// `POST /console/alerts/{id}/cancel`
pub async fn cancel(
    State(console): State<Arc<Console>>,
    At(id): At<AlertId>,
    Ours { visit, .. }: Ours<Button>,
) -> Response {
    match console.approval.cancel(visit.officer(), id).await {
        Ok(Cancelled { broadcast: Some(broadcast), .. }) => {
            Redirect::to(&format!("/console/broadcasts/{broadcast}")).into_response()
        }
        Ok(Cancelled { broadcast: None, .. }) => {
            Redirect::to(&format!("/console/alerts/{id}")).into_response()
        }
        Err(error) => refusal::page(visit.frame(), id, &error),
    }
}

/// `POST /console/alerts/{id}/all-clear`
pub async fn all_clear(
    State(console): State<Arc<Console>>,
    At(id): At<AlertId>,
    Ours { visit, .. }: Ours<Button>,
) -> Response {
    let trace = TraceParent::current();
    match console.approval.all_clear(visit.officer(), id, trace.as_ref()).await {
        Ok(cleared) => {
            Redirect::to(&format!("/console/broadcasts/{}", cleared.broadcast)).into_response()
        }
        Err(error) => refusal::page(visit.frame(), id, &error),
    }
}

/// Who may not steer, and what is not there.
async fn refuse(console: &Console, visit: &Visit, id: BroadcastId) -> Option<Response> {
    let power = Power::SteerBroadcast;
    if !visit.officer().role.may(power) {
        let error = ApprovalError::Forbidden(power);
        return Some(refusal::page(visit.frame(), AlertId(id.0), &error));
    }
    match progress(&console.pool, id).await {
        Ok(Some(_)) => None,
        Ok(None) => Some(refusal::not_found(visit.frame())),
        Err(error) => Some(refusal::outage(visit.frame(), &error)),
    }
}

fn confirmed(
    visit: &Visit,
    id: BroadcastId,
    title: &str,
    done: Result<Confirmation, SteerError>,
) -> Response {
    let confirmation = match done {
        Ok(confirmation) => confirmation,
        Err(error) => return not_steered(visit, &error),
    };
    let t = visit.t;
    let words = t.pick("Xem tiến độ phát", "See the broadcast");
    let page = NoticePage {
        f: visit.frame(),
        title: title.to_owned(),
        lines: promise(&confirmation, t),
        links: vec![(format!("/console/broadcasts/{id}"), words)],
        calm: confirmation.confirmed,
    };
    answer(StatusCode::OK, &page)
}

/// What can be said for certain, and what cannot.
fn promise(confirmation: &Confirmation, t: Tongue) -> Vec<String> {
    let number = |value| wording::number(value, t);
    let mut lines = vec![format!(
        "{}: {}.",
        t.pick("Thiết bị đã nhận trước đó", "Devices that had been reached before"),
        number(confirmation.already_accepted)
    )];
    if confirmation.in_flight > 0 {
        lines.push(format!(
            "{}: {}.",
            t.pick(
                "Đang trên đường khi dừng, những máy này vẫn có thể reo",
                "Under way at that moment; these phones may still ring"
            ),
            number(confirmation.in_flight)
        ));
    }
    lines.push(if confirmation.confirmed {
        let words = t.pick(
            "Mọi máy gửi đã xác nhận: không lượt gửi nào bắt đầu nữa.",
            "Every dispatcher has confirmed: no further push starts.",
        );
        words.to_owned()
    } else {
        format!(
            "{} {}",
            t.pick(
                "Có máy gửi chưa trả lời; mất liên lạc quá 1 giây thì tự nó không gửi nữa:",
                "Some dispatchers did not answer; after 1 s without contact they start nothing by themselves:"
            ),
            confirmation.silent.join(", ")
        )
    });
    lines
}

fn not_steered(visit: &Visit, error: &SteerError) -> Response {
    match error {
        SteerError::NothingToDo => refusal::nothing_to_steer(visit.frame()),
        SteerError::Store(error) => refusal::outage(visit.frame(), error),
    }
}
