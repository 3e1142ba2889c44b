//! The figures: how each is reckoned from what was counted, and how people read it.

use time::Duration;

use super::{Counts, Times};
use crate::domain::wording::{self, Tongue};

/// Their names and meanings.
mod words;

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

    /// Those about how alerts were handled.
    pub const HANDLING: [Self; 7] = [
        Self::Submitted,
        Self::Returned,
        Self::Rejected,
        Self::Approved,
        Self::Time(Timed::Decision, Stat::Median),
        Self::Time(Timed::Decision, Stat::Ninetieth),
        Self::Time(Timed::Decision, Stat::Longest),
    ];

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
