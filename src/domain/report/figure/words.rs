//! What each figure is called, and what it means.

use super::Figure;
use crate::domain::wording::Tongue;

impl Figure {
    /// What it is called.
    pub fn name(self, t: Tongue) -> String {
        let name = match self {
            Self::Submitted => t.pick("Gửi duyệt", "Submitted"),
            Self::Returned => t.pick("Trả lại", "Returned"),
            Self::Rejected => t.pick("Từ chối", "Rejected"),
            Self::Approved => t.pick("Duyệt", "Approved"),
            Self::Time(timed, stat) => return format!("{}, {}", timed.name(t), stat.name(t)),
            Self::Alerts => t.pick("Tin đã phát", "Alerts sent"),
            Self::Corrections => t.pick("Tin đính chính", "Corrections"),
            Self::AllClears => t.pick("Tin báo yên", "All-clears"),
            Self::Recalls => t.pick("Tin thu hồi", "Recalls"),
            Self::Devices => t.pick("Lượt thiết bị", "Devices, per message"),
            Self::Accepted => t.pick("Đã nhận", "Accepted"),
            Self::Gone => t.pick("Địa chỉ không còn", "Address gone"),
            Self::Refused => t.pick("Bị từ chối", "Refused"),
            Self::Failed => t.pick("Gửi lỗi", "Failed"),
            Self::Unknown => t.pick("Không rõ", "Unknown"),
            Self::Expired => t.pick("Hết hạn trước khi gửi", "Expired first"),
            Self::Stopped => t.pick("Dừng trước khi gửi", "Stopped first"),
            Self::Withdrawn => t.pick("Rời đi trước khi gửi", "Left first"),
            Self::Pending => t.pick("Chưa có kết quả", "Still open"),
            Self::ShownReports => t.pick("Máy báo đã hiện", "Phones that said so"),
            Self::Shown => t.pick("Đã hiện (ước tính)", "Shown (estimate)"),
            Self::ShownOf => t.pick("Trên số máy đã nhận", "Of accepted devices"),
        };
        name.to_owned()
    }

    /// What it means, in one or two sentences.
    pub fn meaning(self, t: Tongue) -> String {
        let meaning = match self {
            Self::Submitted => t.pick(
                "Số lần cơ quan gửi tin để duyệt trong kỳ. Tin bị trả lại rồi gửi lại được tính thêm một lần.",
                "How often agencies submitted within the span. What was returned and submitted again counts again.",
            ),
            Self::Returned => t.pick(
                "Số quyết định trả lại để sửa trong kỳ.",
                "Decisions within the span to hand back for mending.",
            ),
            Self::Rejected => {
                t.pick("Số quyết định từ chối hẳn trong kỳ.", "Decisions within the span to refuse for good.")
            }
            Self::Approved => t.pick(
                "Số quyết định duyệt trong kỳ. Tin cần hai người duyệt tính một lần, ở lần duyệt thứ hai.",
                "Approvals within the span. What takes two approvers counts once, with the second.",
            ),
            Self::Time(timed, stat) => return format!("{} {}", timed.meaning(t), stat.meaning(t)),
            Self::Alerts => t.pick(
                "Số cảnh báo và thông tin bắt đầu phát trong kỳ. Tin đã duyệt mà hủy trước giờ phát không tính.",
                "Warnings and announcements that began to be sent within the span. What was called off first is left out.",
            ),
            Self::Corrections => t.pick(
                "Số tin đính chính bắt đầu phát trong kỳ.",
                "Corrections that began to be sent within the span.",
            ),
            Self::AllClears => t.pick(
                "Số tin báo yên bắt đầu phát trong kỳ.",
                "All-clears that began to be sent within the span.",
            ),
            Self::Recalls => t.pick(
                "Số tin thu hồi bắt đầu phát trong kỳ.",
                "Recalls that began to be sent within the span.",
            ),
            Self::Devices => t.pick(
                "Tổng số thiết bị của mọi tin bắt đầu phát trong kỳ; một thiết bị tính một lần cho mỗi tin. Bằng tổng các kết quả bên dưới.",
                "The devices of everything that began to be sent within the span, once for each message. The sum of the outcomes below.",
            ),
            Self::Accepted => t.pick(
                "Nhà cung cấp (Google, Apple, trình duyệt) đã nhận để chuyển tới máy. Không có nghĩa là máy đã bật.",
                "The provider (Google, Apple, a browser's) took it for the device. The device may have been off.",
            ),
            Self::Gone => t.pick(
                "Nhà cung cấp cho biết địa chỉ không còn: ứng dụng đã gỡ hoặc cài lại.",
                "The provider says the address is dead: the app was removed or installed anew.",
            ),
            Self::Refused => t.pick(
                "Nhà cung cấp từ chối tin cho thiết bị này.",
                "The provider refused the message for this device.",
            ),
            Self::Failed => t.pick(
                "Mọi lần thử đều lỗi.",
                "Every attempt failed.",
            ),
            Self::Unknown => t.pick(
                "Đã gửi nhưng không có câu trả lời: có thể đã tới.",
                "Sent and never answered: it may have arrived.",
            ),
            Self::Expired => t.pick(
                "Tin hết hiệu lực trước khi nhà cung cấp nhận.",
                "The alert ended before the provider took it.",
            ),
            Self::Stopped => t.pick(
                "Cán bộ dừng phát trước khi nhà cung cấp nhận.",
                "An officer stopped the broadcast before the provider took it.",
            ),
            Self::Withdrawn => t.pick(
                "Thiết bị rời đi hoặc tắt thông báo giữa lúc đếm và lúc gửi.",
                "The device left or unsubscribed between planning and sending.",
            ),
            Self::Pending => t.pick(
                "Còn đang phát, hoặc đang chờ gửi lại.",
                "Still being sent, or waiting to be tried again.",
            ),
            Self::ShownReports => t.pick(
                "Số máy trong mẫu ngẫu nhiên nhỏ đã báo, không kèm danh tính, rằng đã hiện tin.",
                "Phones of a small random sample that said, without saying who they are, that they showed it.",
            ),
            Self::Shown => t.pick(
                "Ước tính số máy đã hiện tin: số máy báo về chia cho tỷ lệ mẫu, không quá số máy đã nhận. Là ước tính, không phải số đếm.",
                "An estimate of the phones that showed it: those that said so divided by the share that was asked, never more than were accepted. Not a count.",
            ),
            Self::ShownOf => t.pick(
                "Số máy đã nhận của những tin có máy báo về: mẫu số của ước tính.",
                "Accepted devices of the messages about which any phone has spoken: what the estimate is out of.",
            ),
        };
        meaning.to_owned()
    }
}
