//! The figures: what each is called, what it means, and how it is reckoned from what was counted.

use time::Duration;

use super::{Counts, Times};
use crate::domain::wording::{self, Tongue};

/// One figure of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// Sent for a decision.
    Submitted,
    /// Handed back.
    Returned,
    /// Refused.
    Rejected,
    /// Approved.
    Approved,
    /// How long something took.
    Time(Timed, Stat),
    /// Alerts that began to be sent.
    Alerts,
    /// Corrections that began to be sent.
    Corrections,
    /// All-clears that began to be sent.
    AllClears,
    /// Recalls that began to be sent.
    Recalls,
    /// Devices that were to be reached, once for each message.
    Devices,
    /// Taken by the provider.
    Accepted,
    /// Dead addresses.
    Gone,
    /// Refused by the provider.
    Refused,
    /// Failed after every attempt.
    Failed,
    /// Sent and never answered.
    Unknown,
    /// Not taken before the alert ended.
    Expired,
    /// Not taken before an officer stopped it.
    Stopped,
    /// Left between planning and sending.
    Withdrawn,
    /// Without an outcome yet.
    Pending,
    /// Phones that said they showed it.
    ShownReports,
    /// How many phones that stands for.
    Shown,
    /// Of how many.
    ShownOf,
}

/// What took some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timed {
    /// From a submission to its decision.
    Decision,
    /// From the beginning to half of the devices.
    Half,
    /// To 99 of 100.
    NearlyAll,
    /// To the last.
    Whole,
}

/// Which of many durations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stat {
    /// Half were no longer.
    Median,
    /// Nine of ten were no longer.
    Ninetieth,
    /// None was longer.
    Longest,
}

/// What a figure comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// So many.
    Count(i64),
    /// About so many.
    About(i64),
    /// So long.
    Seconds(f64),
    /// There was nothing to reckon it from.
    None,
}

impl Timed {
    /// Each.
    pub const ALL: [Self; 4] = [Self::Decision, Self::Half, Self::NearlyAll, Self::Whole];

    /// What it is called.
    pub fn name(self, t: Tongue) -> &'static str {
        match self {
            Self::Decision => t.pick("Chờ quyết định", "Time to decision"),
            Self::Half => t.pick("Tới 50 % thiết bị", "To 50 % of devices"),
            Self::NearlyAll => t.pick("Tới 99 % thiết bị", "To 99 % of devices"),
            Self::Whole => t.pick("Tới 100 % thiết bị", "To 100 % of devices"),
        }
    }

    /// From when to when, and what is left out.
    pub fn meaning(self, t: Tongue) -> &'static str {
        match self {
            Self::Decision => t.pick(
                "Từ lúc cơ quan gửi duyệt đến quyết định trả lời lần gửi đó (trả lại, từ chối hoặc duyệt), cho quyết định trong kỳ.",
                "From a submission to the decision that answers it (returned, rejected or approved), of decisions within the span.",
            ),
            Self::Half => t.pick(
                "Từ lúc tin được duyệt (tin hẹn giờ: từ lúc bắt đầu phát) đến khi một nửa số thiết bị có kết quả cuối. Không tính tin bị dừng hay chưa xong.",
                "From the approval (or the beginning, of what begins later) until half of the devices have a final outcome. Stopped and unfinished ones are left out.",
            ),
            Self::NearlyAll => t.pick(
                "Như trên, đến khi 99 trong 100 thiết bị có kết quả cuối.",
                "The same, until 99 of 100 devices have a final outcome.",
            ),
            Self::Whole => t.pick(
                "Như trên, đến khi thiết bị cuối cùng có kết quả cuối.",
                "The same, until the last device has a final outcome.",
            ),
        }
    }

    /// What was measured.
    pub fn of(self, counts: &Counts) -> &[f64] {
        match self {
            Self::Decision => &counts.waits,
            Self::Half => &counts.half,
            Self::NearlyAll => &counts.nearly_all,
            Self::Whole => &counts.whole,
        }
    }
}

impl Stat {
    /// Each.
    pub const ALL: [Self; 3] = [Self::Median, Self::Ninetieth, Self::Longest];

    /// What it is called.
    pub fn name(self, t: Tongue) -> &'static str {
        match self {
            Self::Median => t.pick("trung vị", "median"),
            Self::Ninetieth => t.pick("90 % trường hợp", "90 % of cases"),
            Self::Longest => t.pick("lâu nhất", "longest"),
        }
    }

    /// In words.
    pub fn meaning(self, t: Tongue) -> &'static str {
        match self {
            Self::Median => {
                t.pick("Một nửa không lâu hơn số này.", "Half took no longer than this.")
            }
            Self::Ninetieth => t.pick(
                "Chín trong mười không lâu hơn số này.",
                "Nine of ten took no longer than this.",
            ),
            Self::Longest => t.pick("Không trường hợp nào lâu hơn.", "None took longer."),
        }
    }

    fn of(self, times: Times) -> f64 {
        match self {
            Self::Median => times.median,
            Self::Ninetieth => times.ninetieth,
            Self::Longest => times.longest,
        }
    }
}

/// Every figure, in the order in which files have them.
const ALL: [Figure; 33] = {
    use Figure as F;
    use Stat::{Longest, Median, Ninetieth};
    [
        F::Submitted,
        F::Returned,
        F::Rejected,
        F::Approved,
        F::Time(Timed::Decision, Median),
        F::Time(Timed::Decision, Ninetieth),
        F::Time(Timed::Decision, Longest),
        F::Alerts,
        F::Corrections,
        F::AllClears,
        F::Recalls,
        F::Devices,
        F::Accepted,
        F::Gone,
        F::Refused,
        F::Failed,
        F::Unknown,
        F::Expired,
        F::Stopped,
        F::Withdrawn,
        F::Pending,
        F::Time(Timed::Half, Median),
        F::Time(Timed::Half, Ninetieth),
        F::Time(Timed::Half, Longest),
        F::Time(Timed::NearlyAll, Median),
        F::Time(Timed::NearlyAll, Ninetieth),
        F::Time(Timed::NearlyAll, Longest),
        F::Time(Timed::Whole, Median),
        F::Time(Timed::Whole, Ninetieth),
        F::Time(Timed::Whole, Longest),
        F::ShownReports,
        F::Shown,
        F::ShownOf,
    ]
};

impl Figure {
    /// Every figure, in the order in which files have them.
    pub const ALL: [Self; 33] = ALL;

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

    /// What it comes to.
    pub fn of(self, counts: &Counts) -> Value {
        let reach = &counts.reach;
        Value::Count(match self {
            Self::Submitted => counts.submitted,
            Self::Returned => counts.returned,
            Self::Rejected => counts.rejected,
            Self::Approved => counts.approved,
            Self::Time(timed, stat) => {
                return match Times::of(timed.of(counts)) {
                    Some(measured) => Value::Seconds(stat.of(measured)),
                    None => Value::None,
                };
            }
            Self::Alerts => counts.alerts,
            Self::Corrections => counts.corrections,
            Self::AllClears => counts.all_clears,
            Self::Recalls => counts.recalls,
            Self::Devices => reach.audience(),
            Self::Accepted => reach.accepted,
            Self::Gone => reach.gone,
            Self::Refused => reach.refused,
            Self::Failed => reach.failed,
            Self::Unknown => reach.unknown,
            Self::Expired => reach.expired,
            Self::Stopped => reach.stopped,
            Self::Withdrawn => reach.withdrawn,
            Self::Pending => reach.pending,
            Self::ShownReports => counts.shown.reports,
            Self::Shown | Self::ShownOf if counts.shown.reports == 0 => return Value::None,
            Self::Shown => return Value::About(rounded(counts.shown.estimate)),
            Self::ShownOf => counts.shown.accepted,
        })
    }
}

impl Value {
    /// As people read it.
    pub fn words(self, t: Tongue) -> String {
        match self {
            Self::Count(count) => wording::number(count, t),
            Self::About(count) => {
                format!("{} {}", t.pick("khoảng", "about"), wording::number(count, t))
            }
            Self::Seconds(seconds) => length(seconds, t),
            Self::None => "–".to_owned(),
        }
    }
}

/// A measured length of time in two units: `44 giây`, `1 phút 15 giây`, `2 giờ 5 phút`, `3 ngày 4 giờ`.
pub fn length(seconds: f64, t: Tongue) -> String {
    let whole = Duration::seconds_f64(seconds.max(0.0).round()).whole_seconds();
    let second = (60, t.pick("giây", "s"));
    let minute = (60, t.pick("phút", "min"));
    let hour = (24, t.pick("giờ", "h"));
    let day = (i64::MAX, t.pick("ngày", "d"));
    let (mut rest, mut parts) = (whole, Vec::new());
    for (holds, unit) in [second, minute, hour, day] {
        parts.insert(0, (rest % holds, unit));
        rest /= holds;
    }
    let said: Vec<String> = parts
        .iter()
        .skip_while(|(count, _)| *count == 0)
        .take(2)
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count} {unit}"))
        .collect();
    match said.as_slice() {
        [] if seconds > 0.0 => t.pick("dưới 1 giây", "under 1 s").to_owned(),
        [] => format!("0 {}", second.1),
        _ => said.join(" "),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a number of phones, far below 2^52")]
fn rounded(estimate: f64) -> i64 {
    estimate.round() as i64
}
