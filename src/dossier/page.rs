//! A dossier on paper, for people: in Vietnamese, in the order in which it happened.

use std::fmt::Write as _;

use crate::domain::account::Role;
use crate::domain::alert::{AlertContent, Attestations, Status, Text};
use crate::domain::broadcast::{Lane, Tally};
use crate::domain::device::{Language, Provider};
use crate::domain::dossier::{Decided, Dossier, OfTemplate, Reach, Review, Sealed, Step, Written};
use crate::domain::message::Purpose;
use crate::domain::seal::{APPROVERS, digest};
use crate::domain::wording::{self, Tongue, moment, number};
use crate::paper::{Look, Paper};

/// Lines of a revision that stay with its number: down to what it says.
const REVISION_KEPT: u8 = 7;
/// Lines of a seal.
const SEAL_KEPT: u8 = 4;
/// Lines of what became of a broadcast: all its providers.
const REACH_KEPT: u8 = 5;

/// Sets it. The same dossier always gives the same bytes.
pub fn set(dossier: &Dossier) -> Vec<u8> {
    let mut paper = Paper::new();
    head(&mut paper, dossier);
    paper.part("1. Căn cứ pháp lý", 3);
    for clause in &dossier.legal_basis {
        paper.line(&clause.cited, &clause.says, Look::Plain);
    }
    paper.part("2. Ai đã làm gì, khi nào", 3);
    for step in &dossier.steps {
        step_line(&mut paper, step);
    }
    paper.part("3. Quyết định", 3);
    for decision in &dossier.decisions {
        decided(&mut paper, decision);
    }
    if let Some(template) = &dossier.template {
        of_template(&mut paper, template);
    }
    paper.part("4. Nội dung từng bản", REVISION_KEPT);
    for revision in &dossier.revisions {
        written(&mut paper, revision);
    }
    paper.part("5. Niêm phong", SEAL_KEPT);
    for seal in &dossier.sealed {
        sealed(&mut paper, seal);
    }
    paper.part("6. Kết quả gửi đến thiết bị", REACH_KEPT);
    for reach in &dossier.reach {
        reached(&mut paper, reach);
    }
    paper.part("7. Nhật ký kiểm toán", 3);
    trail(&mut paper, dossier);
    let foot = format!("Hồ sơ {} · lập lúc {}", dossier.alert, moment(dossier.at));
    let head = format!("Hồ sơ tin: {}", headline(dossier));
    paper.finish(&format!("Hồ sơ tin {}", dossier.alert), &head, &foot)
}

fn headline(dossier: &Dossier) -> &str {
    let last = dossier.revisions.last();
    last.and_then(|revision| revision.content.vietnamese()).map_or("", |text| &text.headline)
}

fn head(paper: &mut Paper, dossier: &Dossier) {
    paper.say("HỒ SƠ TIN", Look::Strong);
    paper.say(headline(dossier), Look::Title);
    paper.gap(6.0);
    paper.line("Mã tin", &dossier.alert.to_string(), Look::Plain);
    paper.line("Cơ quan chịu trách nhiệm", &dossier.agency.name, Look::Plain);
    if dossier.revisions.last().is_some_and(|revision| revision.content.status == Status::Exercise)
    {
        paper.line("Loại tin", "DIỄN TẬP: chỉ tới nhóm diễn tập", Look::Strong);
    }
    paper.line("Trạng thái", wording::state(dossier.state, Tongue::Vi), Look::Strong);
    paper.line("Lập hồ sơ lúc", &moment(dossier.at), Look::Plain);
    paper.line("Mã tóm lược của hồ sơ", &dossier.digest(), Look::Fine);
    let verify = "Bản in này đi cùng một tệp JSON đã ký, ghi mã tóm lược của chính bản in. Kiểm tra cả hai: loa verify --dossier TỆP.json";
    paper.line("Cách kiểm tra", verify, Look::Fine);
}

fn step_line(paper: &mut Paper, step: &Step) {
    let who = match &step.person {
        Some(person) => {
            let role = Role::from_word(&person.role);
            let role = role.map_or(person.role.as_str(), |role| wording::role(role, Tongue::Vi));
            format!("{}, {role}, {}", person.name, person.agency)
        }
        None => step.actor.clone(),
    };
    paper.line(&moment(step.at), &format!("{}: {who}", action(&step.action)), Look::Plain);
}

/// What the trail's word means. A word of a later release is shown as it is.
fn action(word: &str) -> &str {
    match word {
        "alert.created" => "Soạn thảo",
        "alert.revised" => "Sửa nội dung",
        "alert.document_attached" => "Đính kèm văn bản",
        "alert.submitted" => "Gửi duyệt",
        "alert.returned" => "Trả lại để sửa",
        "alert.rejected" => "Từ chối",
        "alert.endorsed" => "Duyệt, chờ người duyệt thứ hai",
        "alert.approved" => "Duyệt",
        "alert.begun" => "Đến giờ: đăng tải và gửi",
        "alert.lapsed" => "Hết hiệu lực trước khi gửi",
        "alert.recalled" => "Thu hồi",
        "alert.cleared" => "Báo yên",
        "alert.cancelled" => "Hủy khi chưa gửi",
        "template.filled" => "Điền mẫu đã duyệt trước",
        "template.use_reviewed" => "Hậu kiểm việc dùng mẫu",
        "dossier.made" => "Lập hồ sơ",
        "broadcast.pause" => "Tạm dừng gửi",
        "broadcast.resume" => "Gửi tiếp",
        "broadcast.stop" => "Dừng gửi",
        other => other,
    }
}

fn verdict(word: &str) -> &str {
    match word {
        "endorse" => "Duyệt, chờ người duyệt thứ hai",
        "approve" => "Duyệt",
        "return" => "Trả lại để sửa",
        "reject" => "Từ chối",
        "recall" => "Thu hồi",
        "all_clear" => "Báo yên",
        other => other,
    }
}

fn decided(paper: &mut Paper, decision: &Decided) {
    let what = format!(
        "{} bản {}: {}",
        verdict(&decision.verdict),
        decision.revision,
        decision.officer_name
    );
    paper.line(&moment(decision.at), &what, Look::Strong);
    if let Some(reason) = &decision.reason {
        paper.line("Lý do", reason, Look::Plain);
    }
    if decision.verdict == "approve" || decision.verdict == "endorse" {
        attested(paper, "Người duyệt xác nhận", decision.attestations);
    }
    if let Some(digest) = &decision.digest {
        paper.line("Mã tóm lược đã xem", digest, Look::Fine);
    }
}

fn of_template(paper: &mut Paper, template: &OfTemplate) {
    paper.gap(3.0);
    paper.keep(3);
    paper.line("Theo mẫu duyệt trước", &template.name, Look::Strong);
    paper.line("Mã mẫu", &template.template.to_string(), Look::Plain);
    for decision in &template.decisions {
        let what = format!("{}: {}", verdict(&decision.verdict), decision.officer_name);
        paper.line(&format!("Mẫu, {}", moment(decision.at)), &what, Look::Plain);
    }
    let filled = format!("{}, {}", template.filled_by_name, moment(template.filled_at));
    paper.line("Người điền mẫu", &filled, Look::Plain);
    match &template.review {
        Some(Review { officer_name, at, finding }) => {
            paper.line("Hậu kiểm", &format!("{officer_name}, {}", moment(*at)), Look::Plain);
            paper.line("", finding, Look::Plain);
        }
        None => paper.line("Hậu kiểm", "CHƯA CÓ NGƯỜI DUYỆT KHÁC XEM LẠI", Look::Strong),
    }
}

fn attested(paper: &mut Paper, label: &str, attested: Attestations) {
    let said = |yes: bool, words: &str| format!("{words}: {}", if yes { "có" } else { "không" });
    let words = format!(
        "{}; {}",
        said(attested.whole_province, "phạm vi toàn tỉnh"),
        said(attested.no_state_secret, "không có bí mật nhà nước")
    );
    paper.line(label, &words, Look::Plain);
}

fn written(paper: &mut Paper, revision: &Written) {
    let Written { content, .. } = revision;
    let title = format!("{} soạn lúc {}", revision.author_name, moment(revision.at));
    paper.gap(3.0);
    paper.keep(REVISION_KEPT);
    paper.line(&format!("Bản {}", revision.revision), &title, Look::Strong);
    paper.line("Phân loại", &classified(content), Look::Plain);
    let effective = content.effective.map_or("khi duyệt".to_owned(), moment);
    let holds = format!("từ {effective} đến {}", moment(content.expires));
    paper.line("Hiệu lực", &holds, Look::Plain);
    if let Some(at) = content.send_at {
        paper.line("Hẹn phát", &moment(at), Look::Plain);
    }
    for (language, text) in &content.texts {
        words(paper, "", language, text);
    }
    for (language, text) in content.recall.iter().flatten() {
        words(paper, "Khi thu hồi: ", language, text);
    }
    for (language, text) in content.all_clear.iter().flatten() {
        words(paper, "Khi báo yên: ", language, text);
    }
    let source = &content.source;
    let cited = format!(
        "{}, ngày {}: {}",
        source.number,
        wording::written_day(&source.date),
        source.summary
    );
    paper.line("Văn bản nguồn", &cited, Look::Plain);
    match &revision.document {
        Some(file) => {
            let kind = wording::file_kind(&file.media_type);
            let size = wording::size(file.size, Tongue::Vi);
            paper.line("Tệp văn bản", &format!("{kind}, {size}"), Look::Plain);
            paper.line("SHA-256 của tệp", &file.sha256, Look::Fine);
        }
        None => paper.line("Tệp văn bản", "chưa đính kèm", Look::Plain),
    }
    attested(paper, "Người gửi xác nhận", content.attestations);
    if let Some(digest) = &revision.digest {
        paper.line("Mã tóm lược của bản", digest, Look::Fine);
    }
}

fn classified(content: &AlertContent) -> String {
    let mut words = format!(
        "{}; {}; {}; {}; {}",
        content.kind.label_vi(),
        content.category.label_vi(),
        content.severity.label_vi(),
        content.urgency.label_vi(),
        content.certainty.label_vi()
    );
    if let Some(level) = content.risk_level {
        let name = wording::risk_name(level, Tongue::Vi);
        // Writing to a String does not fail.
        let _ = write!(words, "; cấp độ rủi ro thiên tai {level} ({name})");
    }
    words
}

fn words(paper: &mut Paper, before: &str, language: &Language, text: &Text) {
    let label = format!("{before}{}", wording::language_name(language.as_str()));
    paper.line(&label, &text.headline, Look::Strong);
    paper.line("", &text.body, Look::Plain);
    if let Some(instruction) = &text.instruction {
        paper.line("Việc cần làm", instruction, Look::Plain);
    }
}

fn purpose(purpose: Purpose) -> &'static str {
    wording::purpose(purpose, Tongue::Vi)
}

fn sealed(paper: &mut Paper, seal: &Sealed) {
    paper.keep(SEAL_KEPT);
    let state = match &seal.broken {
        None => "Chữ ký khớp khi lập hồ sơ".to_owned(),
        Some(why) => format!("KHÔNG KHỚP khi lập hồ sơ: {why}"),
    };
    paper.line(purpose(seal.purpose), &state, Look::Strong);
    let by = if seal.key_id == APPROVERS {
        "khóa riêng của người duyệt".to_owned()
    } else {
        format!("khóa {} của máy chủ", seal.key_id)
    };
    paper.line("Ký bằng", &by, Look::Plain);
    paper.line("Mã tin", &seal.alert.to_string(), Look::Plain);
    paper.line("Mã tóm lược đã ký", &digest(seal.bytes.as_bytes()), Look::Fine);
}

fn reached(paper: &mut Paper, reach: &Reach) {
    paper.keep(REACH_KEPT);
    let tally = reach.providers.iter().fold(Tally::default(), |sum, (_, tally)| sum + *tally);
    let lane = match reach.lane {
        Lane::Emergency => "khẩn cấp",
        Lane::Personal => "cá nhân",
        Lane::Bulk => "thông thường",
        Lane::Drill => "diễn tập",
    };
    let devices = number(tally.audience(), Tongue::Vi);
    let title = format!("{devices} thiết bị, luồng {lane}");
    paper.line(purpose(reach.purpose), &title, Look::Strong);
    let mut times = reach
        .began
        .map_or_else(|| "chưa bắt đầu".to_owned(), |began| format!("bắt đầu {}", moment(began)));
    for (what, at) in [
        ("; lượt đầu tiên được nhận ", reach.first_push),
        ("; dừng ", reach.stopped),
        ("; xong ", reach.completed),
    ] {
        if let Some(at) = at {
            times += what;
            times += &moment(at);
        }
    }
    paper.line("Thời gian", &times, Look::Plain);
    for (provider, tally) in &reach.providers {
        let name = match provider {
            Provider::Fcm => "Android (FCM)",
            Provider::Apns => "iPhone, iPad (APNs)",
            Provider::WebPush => "Trình duyệt (Web Push)",
        };
        paper.line(name, &counted(tally), Look::Plain);
    }
    if let Some(why) = &reach.parked {
        paper.line("Bị giữ lại vì", why, Look::Plain);
    }
}

/// What became of devices, and why, of which there were any.
fn counted(tally: &Tally) -> String {
    let parts: Vec<String> = [
        (tally.accepted, "dịch vụ đã nhận"),
        (tally.gone, "địa chỉ không còn dùng"),
        (tally.refused, "dịch vụ từ chối thiết bị này"),
        (tally.failed, "gửi lỗi sau mọi lần thử"),
        (tally.expired, "hết hiệu lực trước khi gửi được"),
        (tally.stopped, "đã dừng trước khi gửi"),
        (tally.withdrawn, "rời đi trước khi gửi"),
        (tally.unknown, "đã gửi, không rõ kết quả"),
        (tally.pending, "chưa có kết quả"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, words)| format!("{} {words}", number(count, Tongue::Vi)))
    .collect();
    if parts.is_empty() { "không có thiết bị nào".to_owned() } else { parts.join("; ") }
}

fn trail(paper: &mut Paper, dossier: &Dossier) {
    let trail = &dossier.trail;
    let state = match &trail.broken {
        None => "Chuỗi nguyên vẹn khi lập hồ sơ".to_owned(),
        Some(why) => format!("CHUỖI KHÔNG NGUYÊN VẸN khi lập hồ sơ: {why}"),
    };
    paper.line("Toàn bộ nhật ký", &state, Look::Strong);
    match &trail.checkpoint {
        Some(signed) => {
            let point = &signed.checkpoint;
            let words = format!(
                "điểm chốt số {} ký lúc {}, đến mục {} của nhật ký, khóa {}",
                point.serial,
                moment(point.at),
                point.seq,
                point.key_id
            );
            paper.line("Điểm chốt bao trùm", &words, Look::Plain);
        }
        None => paper.line("Điểm chốt bao trùm", "chưa có", Look::Plain),
    }
    for entry in &trail.entries {
        let words = format!("{}, {}", moment(entry.at), entry.action);
        paper.line(&format!("Mục {}", entry.seq), &words, Look::Plain);
        let hash = entry.hash.iter().fold(String::new(), |mut text, byte| {
            // Writing to a String does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        });
        paper.line("", &hash, Look::Fine);
    }
}
