//! What the trail's entries say was done, in words.

use crate::domain::wording::Tongue;

/// The name of an action. One without a name here is of a later release: its own word stands beside anyway.
pub fn name(action: &str, t: Tongue) -> &'static str {
    let (_, vi, en) = DEEDS.iter().find(|(word, ..)| *word == action).unwrap_or(&OTHER);
    t.pick(vi, en)
}

const OTHER: (&str, &str, &str) = ("", "Việc khác", "Something else");

#[rustfmt::skip]
const DEEDS: &[(&str, &str, &str)] = &[
    ("agency.written", "Ghi thông tin cơ quan", "Agency written"),
    ("alert.approved", "Duyệt tin", "Alert approved"),
    ("alert.begun", "Tin bắt đầu phát theo giờ hẹn", "Scheduled alert begun"),
    ("alert.cancelled", "Hủy tin chưa phát", "Alert called off"),
    ("alert.cleared", "Báo yên", "All-clear sent"),
    ("alert.correction_requested", "Yêu cầu đính chính", "Correction asked for"),
    ("alert.created", "Soạn tin", "Alert written"),
    ("alert.document_attached", "Đính kèm văn bản", "Document attached"),
    ("alert.endorsed", "Duyệt, chờ người thứ hai", "Approved by the first of two"),
    ("alert.lapsed", "Tin hết hạn trước giờ hẹn", "Scheduled alert lapsed"),
    ("alert.recalled", "Thu hồi tin", "Alert recalled"),
    ("alert.rejected", "Từ chối tin", "Alert rejected"),
    ("alert.returned", "Trả lại tin để sửa", "Alert returned"),
    ("alert.revised", "Sửa tin", "Alert revised"),
    ("alert.submitted", "Gửi duyệt tin", "Alert submitted"),
    ("api_key.created", "Cấp khóa API", "API key made"),
    ("api_key.revoked", "Hủy khóa API", "API key revoked"),
    ("audit.exported", "Xuất nhật ký", "Audit trail exported"),
    ("authority.confirmed", "Xác nhận thay đổi tài khoản", "Change of accounts confirmed"),
    ("authority.proposed", "Đề xuất thay đổi tài khoản", "Change of accounts proposed"),
    ("authority.refused", "Bác thay đổi tài khoản", "Change of accounts refused"),
    ("authority.withdrawn", "Rút đề xuất thay đổi tài khoản", "Change of accounts withdrawn"),
    ("broadcast.pause", "Tạm dừng phát", "Broadcast paused"),
    ("broadcast.resume", "Phát tiếp", "Broadcast resumed"),
    ("broadcast.stop", "Dừng phát", "Broadcast stopped"),
    ("broker_user.removed", "Gỡ người dùng RabbitMQ", "RabbitMQ user removed"),
    ("broker_user.set", "Gắn người dùng RabbitMQ", "RabbitMQ user set"),
    ("client.linked", "Gắn hệ thống của cơ quan", "Client linked"),
    ("client.unlinked", "Gỡ hệ thống của cơ quan", "Client unlinked"),
    ("dead_letters.replayed", "Phát lại thư hỏng", "Dead letters replayed"),
    ("devices.imported", "Nhập danh sách thiết bị", "Devices imported"),
    ("dossier.made", "Lập hồ sơ tin", "Dossier made"),
    ("feedback_event.received", "Nhận kết quả phản ánh", "Feedback event received"),
    ("forgetting.released", "Cho phép xóa địa chỉ hỏng", "Forgetting released"),
    ("officer.created", "Mở tài khoản", "Account opened"),
    ("officer.disabled", "Đóng tài khoản", "Account closed"),
    ("officer.enrolling", "Nhận lời mời", "Invitation accepted"),
    ("officer.invited", "Mời vào tài khoản", "Account invited"),
    ("officer.locked_out", "Kết thúc mọi phiên của tài khoản", "Account locked out"),
    ("officer.password_set", "Đặt mật khẩu", "Password set"),
    ("officer.person_named", "Ghi chủ tài khoản", "Account's person named"),
    ("officer.role_changed", "Đổi vai trò", "Role changed"),
    ("passkey.registered", "Đăng ký khóa truy cập", "Passkey registered"),
    ("passkey.removed", "Gỡ khóa truy cập", "Passkey removed"),
    ("session.begun", "Đăng nhập", "Signed in"),
    ("session.ended", "Đăng xuất", "Signed out"),
    ("session.ended_elsewhere", "Kết thúc phiên khác", "Other sessions ended"),
    ("single_sign_on.linked", "Gắn đăng nhập một lần", "Single sign-on linked"),
    ("single_sign_on.unlinked", "Gỡ đăng nhập một lần", "Single sign-on unlinked"),
    ("template.filled", "Điền mẫu", "Template filled in"),
    ("template.use_reviewed", "Hậu kiểm việc dùng mẫu", "Template's use reviewed"),
    ("totp.enrolled", "Bật mã một lần", "One-time codes set up"),
    ("totp.locked", "Khóa mã một lần", "One-time codes locked"),
    ("totp.removed", "Gỡ mã một lần", "One-time codes removed"),
    ("working_year.kept", "Ghi lịch làm việc của năm", "Working days of a year written down"),
];
