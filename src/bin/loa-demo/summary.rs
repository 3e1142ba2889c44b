//! What came of it: our numbers beside the simulators'.

use loa::domain::account::Role;
use loa::stage::{Arrived, PASSWORD, People, Stage};
use serde::Serialize;
use serde_json::Value;

use crate::journey::Told;

/// The demo's last line.
#[derive(Debug, Serialize)]
pub struct Line {
    audience: i64,
    accepted: i64,
    gone: i64,
    refused: i64,
    failed: i64,
    expired: i64,
    stopped: i64,
    withdrawn: i64,
    unknown: i64,
    /// Live devices whose simulator saw no push.
    lost: i64,
    /// Devices whose simulator saw more than one.
    duplicates: i64,
    /// From the approval's commit to the first request at a simulator.
    first_push_ms: f64,
    /// From the approval's commit to the last request at a simulator.
    seconds: f64,
    pushes_per_s: f64,
}

/// The line, and what else is worth seeing.
pub struct Report {
    /// The last line.
    pub line: Line,
    providers: Vec<(String, Value, Arrived)>,
    dispatcher_memory: Option<u64>,
}

/// Asks the simulators what arrived.
pub async fn report(stage: &Stage, told: &Told) -> anyhow::Result<Report> {
    let counted = stage.simulators.report(&told.on_air.collapse).await?;
    let approved_ms = told.on_air.approved_unix_ms();
    let since = |at: Option<f64>| at.map_or(f64::NAN, |at| at - approved_ms);
    let seconds = since(counted.last_request_unix_ms) / 1e3;
    let tally = &told.progress["tally"];
    let count = |name: &str| tally[name].as_i64().unwrap_or(0);
    #[expect(clippy::cast_precision_loss, reason = "a number of phones fits a double")]
    let pushes_per_s = counted.requests() as f64 / seconds;
    let line = Line {
        audience: told.progress["audience"].as_i64().unwrap_or(0),
        accepted: count("accepted"),
        gone: count("gone"),
        refused: count("refused"),
        failed: count("failed"),
        expired: count("expired"),
        stopped: count("stopped"),
        withdrawn: count("withdrawn"),
        unknown: count("unknown"),
        lost: counted.lost,
        duplicates: counted.duplicates,
        first_push_ms: tenth(since(counted.first_request_unix_ms)),
        seconds: (seconds * 1000.0).round() / 1000.0,
        pushes_per_s: pushes_per_s.round(),
    };
    let ours = told.progress["providers"].as_array().cloned().unwrap_or_default();
    let providers = ours
        .into_iter()
        .map(|provider| {
            let name = provider["provider"].as_str().unwrap_or_default().to_owned();
            let theirs = counted.per_provider.get(&name).cloned().unwrap_or_default();
            (name, provider, theirs)
        })
        .collect();
    let dispatcher_memory = stage
        .running()
        .next()
        .and_then(|dispatch| dispatch.usage().ok())
        .map(|used| used.most_memory);
    Ok(Report { line, providers, dispatcher_memory })
}

fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

impl Report {
    /// Nothing lost, nothing doubled, and the sum is the audience.
    pub fn is_sound(&self) -> bool {
        let line = &self.line;
        let sum = line.accepted
            + line.gone
            + line.refused
            + line.failed
            + line.expired
            + line.stopped
            + line.withdrawn
            + line.unknown;
        line.audience > 0 && sum == line.audience && line.lost == 0 && line.duplicates == 0
    }
}

/// The table, for people.
pub fn print(report: &Report) {
    let line = &report.line;
    eprintln!();
    eprintln!("              chúng tôi / ours                  máy giả lập / simulators");
    eprintln!("              thiết bị  nhận      mất           yêu cầu   nhận      trùng");
    eprintln!("              devices   accepted  gone          requests  accepted  doubled");
    for (name, ours, theirs) in &report.providers {
        let n = |value: &Value| value.as_i64().unwrap_or(0);
        eprintln!(
            "   {name:<10} {:>8}  {:>8}  {:>8}      {:>8}  {:>8}  {:>8}",
            n(&ours["audience"]),
            n(&ours["tally"]["accepted"]),
            n(&ours["tally"]["gone"]),
            theirs.requests,
            theirs.accepted,
            theirs.duplicates,
        );
    }
    eprintln!();
    eprintln!("   cú đầu tiên / first push   {} ms", line.first_push_ms);
    eprintln!("   toàn bộ / whole broadcast  {} s, {} pushes/s", line.seconds, line.pushes_per_s);
    eprintln!("   không tới / lost           {}", line.lost);
    eprintln!("   trùng / duplicates         {}", line.duplicates);
    if let Some(bytes) = report.dispatcher_memory {
        eprintln!("   loa dispatch               {} MB resident at most", bytes / 1_000_000);
    }
    eprintln!();
}

/// What each of the demo's people does, in the order in which to try it.
const DESKS: [(Role, &str); 5] = [
    (Role::Submitter, "soạn tin, gửi duyệt / writes an alert and submits it"),
    (Role::Approver, "duyệt, xem phát, thu hồi / approves, watches, calls back"),
    (Role::Operator, "vận hành / operates"),
    (Role::Auditor, "giám sát / audits"),
    (Role::Administrator, "quản trị tài khoản / administers accounts"),
];

/// Where to look, and as whom.
pub fn print_invitation(stage: &Stage, people: &People) {
    eprintln!("\n   Trang công khai / public page   {}/public/alerts", stage.url);
    eprintln!("   Bàn làm việc / console          {}/console", stage.url);
    eprintln!("     mật khẩu / password           {PASSWORD}");
    for (role, what) in DESKS {
        if let Some(login) = people.logins.iter().find(|login| login.role == role) {
            eprintln!("     {:<29} {what}", login.name);
        }
    }
    eprintln!("   API                             {}/openapi.json", stage.url);
    if let Some((agency, key)) = people.submitters.iter().next() {
        eprintln!("     {agency}  {key}");
    }
    for process in stage.running().chain(&stage.serve) {
        eprintln!("   Số liệu / metrics               {}/metrics", process.url);
    }
    eprintln!("   Nhật ký / logs                  {}", stage.file("*.log").display());
    eprintln!("\n   Ctrl-C để dừng / to stop\n");
}
