//! The first line: could an alert that came now be broadcast? Yes, no, or yes with something to look at; and why.

use super::queues::Untaken;
use crate::domain::wording::Tongue;
use crate::web::problem::Said;
use crate::web::readiness::{Assessment, Reason};

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The class that colours it; its words say the same.
    pub class: &'static str,
    /// Yes or no.
    pub word: &'static str,
    /// What that means.
    pub meaning: &'static str,
    /// What stands in the way, and after it what wants attention.
    pub reasons: Vec<ReasonLine>,
}

/// One reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReasonLine {
    /// Which part.
    pub part: String,
    /// What is wrong.
    pub said: String,
    /// Which page of `docs/runbooks` says what to do.
    pub runbook: Option<&'static str>,
    /// Does it stand in the way?
    pub is_obstacle: bool,
}

impl Answer {
    /// The same that `/readyz` answers, in words; and no where the broker knows of queues that nobody takes from.
    pub fn of(found: &Assessment, untaken: &[Untaken], t: Tongue) -> Self {
        let idle = idle(found, untaken);
        let can_broadcast = found.can_broadcast() && idle.is_none();
        let (class, word, meaning) = match (can_broadcast, found.notes.is_empty()) {
            (true, true) => (
                "yes",
                t.pick("Có", "Yes"),
                t.pick(
                    "Tin được duyệt bây giờ sẽ được gửi tới mọi điện thoại đã đăng ký.",
                    "An alert approved now would be sent to every registered phone.",
                ),
            ),
            (true, false) => (
                "but",
                t.pick("Có, nhưng cần xem lại", "Yes, but look at this"),
                t.pick(
                    "Tin được duyệt bây giờ sẽ được gửi. Có việc cần người xem:",
                    "An alert approved now would be sent. Something wants a person's attention:",
                ),
            ),
            (false, _) => (
                "no",
                t.pick("Không", "No"),
                t.pick(
                    "Tin được duyệt bây giờ sẽ không tới được, hoặc không tới được mọi điện thoại:",
                    "An alert approved now would not arrive, or not on every phone:",
                ),
            ),
        };
        let line = |reason: &Reason, is_obstacle| ReasonLine {
            part: part(&reason.part, t),
            said: reason.said.said(t).to_owned(),
            runbook: runbook(&reason.part),
            is_obstacle,
        };
        let obstacles = found.obstacles.iter().chain(&idle).map(|reason| line(reason, true));
        let notes = found.notes.iter().map(|reason| line(reason, false));
        Self { class, word, meaning, reasons: obstacles.chain(notes).collect() }
    }
}

/// Dispatchers are alive, and what waits in these queues is taken by none of them; nothing of those whose reason is told already.
fn idle(found: &Assessment, untaken: &[Untaken]) -> Option<Reason> {
    let is_told = |part: &str| found.obstacles.iter().any(|reason| reason.part == part);
    if is_told("dispatchers") || is_told("broker") {
        return None;
    }
    let is_news = |untaken: &&Untaken| !untaken.of.is_some_and(|of| is_told(of.as_str()));
    let names: Vec<&str> = untaken.iter().filter(is_news).map(|untaken| untaken.name).collect();
    (!names.is_empty()).then(|| Reason {
        part: "dispatchers".to_owned(),
        said: Said::new(
            format!("Không máy gửi nào nhận việc từ hàng đợi {}.", names.join(", ")),
            format!("No dispatcher takes from {}.", names.join(", ")),
        ),
    })
}

/// A part of `/readyz`, as people call it; a new one is shown as it is.
fn part(part: &str, t: Tongue) -> String {
    let words = match part {
        "database" => t.pick("Cơ sở dữ liệu", "Database"),
        "broker" => "RabbitMQ",
        "dispatchers" => t.pick("Máy gửi", "Dispatchers"),
        "sealing" => t.pick("Khóa ký", "Sealing key"),
        "approvers" => t.pick("Danh sách người duyệt", "List of approvers"),
        "forgetting" => t.pick("Gỡ địa chỉ hỏng", "Forgetting dead addresses"),
        "canary" => t.pick("Thử đường truyền", "Probe"),
        "schedule" => t.pick("Tin hẹn giờ", "Scheduled alerts"),
        "after-review" => t.pick("Hậu kiểm", "After-review"),
        "audit" => t.pick("Nhật ký", "Audit trail"),
        "broadcast" => t.pick("Lượt phát", "Broadcast"),
        "fcm" => "FCM (Android)",
        "apns" => "APNs (iOS)",
        "webpush" => "Web Push",
        other => return other.replace("drill ", t.pick("diễn tập: ", "drill: ")),
    };
    words.to_owned()
}

fn runbook(part: &str) -> Option<&'static str> {
    Some(match part {
        "database" => "database-away",
        "broker" => "broker-away",
        "dispatchers" => "dispatcher-silent",
        "fcm" | "apns" | "webpush" => "provider-parked",
        "approvers" => "approvers-phone-lost",
        "forgetting" => "forgetting-suspended",
        "canary" => "canary-fails",
        "schedule" => "broadcast-stuck",
        "after-review" => "after-review-open",
        "audit" => "audit-broken",
        "broadcast" => "seal-mismatch",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::domain::device::Provider;

    fn reason(part: &str) -> Reason {
        Reason { part: part.to_owned(), said: Said::new("hỏng", "broken") }
    }

    fn found(obstacles: &[&str], notes: &[&str]) -> Assessment {
        let reasons = |parts: &[&str]| parts.iter().map(|part| reason(part)).collect();
        Assessment { ready: true, obstacles: reasons(obstacles), notes: reasons(notes) }
    }

    #[test]
    fn it_is_yes_no_or_yes_with_something_to_look_at() {
        let class = |found: &Assessment| Answer::of(found, &[], Tongue::Vi).class;
        assert_eq!(class(&found(&[], &[])), "yes");
        assert_eq!(class(&found(&[], &["canary"])), "but");
        assert_eq!(class(&found(&["fcm"], &["canary"])), "no");
        assert_eq!(class(&Assessment { ready: false, ..found(&[], &[]) }), "no");
    }

    #[test]
    fn queues_that_nobody_takes_from_are_a_no_unless_the_reason_is_told() {
        let untaken = [
            Untaken { of: None, name: "plan" },
            Untaken { of: Some(Provider::Fcm), name: "push.emergency.fcm" },
        ];
        let answer = |obstacles: &[&str]| Answer::of(&found(obstacles, &[]), &untaken, Tongue::En);
        let said = |answer: &Answer| answer.reasons.last().expect("a reason").said.clone();
        let silent = answer(&[]);
        assert_eq!(silent.class, "no");
        assert_eq!(said(&silent), "No dispatcher takes from plan, push.emergency.fcm.");
        assert_eq!(said(&answer(&["fcm"])), "No dispatcher takes from plan.");
        for told in ["dispatchers", "broker"] {
            assert_eq!(answer(&[told]).reasons.len(), 1, "{told}");
        }
    }

    #[test]
    fn what_stands_in_the_way_comes_first_and_names_a_page_that_is_there() {
        let parts = ["database", "broker", "dispatchers", "webpush", "broadcast"];
        let notes = ["approvers", "forgetting", "canary", "schedule", "after-review", "audit"];
        let answer = Answer::of(&found(&parts, &notes), &[], Tongue::En);
        assert!(answer.reasons[..parts.len()].iter().all(|reason| reason.is_obstacle));
        let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/runbooks");
        for reason in &answer.reasons {
            let page = reason.runbook.expect("every one of these has a page");
            assert!(pages.join(page).with_extension("md").is_file(), "{page}");
        }
    }
}
