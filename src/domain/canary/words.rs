//! What is known of a provider's road, as people read it.

use time::Duration;

use super::{Heard, Probe, Sight, Standing, clock_time};
use crate::domain::device::Provider;
use crate::domain::wording::{Tongue, span};

impl Sight {
    /// *Thử lần cuối: FCM nhận lúc 14:03 (2 phút trước), 85 ms.*
    pub fn in_words(&self, t: Tongue) -> String {
        let name = name(self.provider);
        let Some(last) = self.last.as_ref().filter(|_| self.is_watched) else {
            return if self.is_watched {
                t.pick(format!("{name}: chưa thử lần nào."), format!("{name}: not probed yet."))
            } else {
                t.pick(format!("{name}: chưa có nhóm thử."), format!("{name}: no canary group."))
            };
        };
        let (at, ago) = (clock_time(last.begun_at), ago(last.age, t));
        let mut words = match (self.standing(), last.heard) {
            (Standing::Stale, _) => t.pick(
                format!("Lần thử {name} gần nhất đã lâu ({at}, {ago}): không rõ lúc này có gửi được không."),
                format!("The last probe of {name} is old ({at}, {ago}): nobody knows whether it takes anything now."),
            ),
            (_, Some((Heard::Accepted, took))) => t.pick(
                format!("Thử lần cuối: {name} nhận lúc {at} ({ago}), {took} ms."),
                format!("Last probe: {name} took it at {at} ({ago}), {took} ms."),
            ),
            (_, heard) => {
                let why = why(heard.map(|(heard, _)| heard), t);
                t.pick(
                    format!("Thử lần cuối: {name} KHÔNG nhận lúc {at} ({ago}): {why}."),
                    format!("Last probe: {name} did NOT take it at {at} ({ago}): {why}."),
                )
            }
        };
        words.extend(dead(last, t));
        words
    }

    /// The same with the provider's own words, for whoever mends it.
    pub fn in_detail(&self, t: Tongue) -> String {
        let words = self.in_words(t);
        match self.last.as_ref().and_then(|last| last.detail.as_deref()) {
            Some(detail) => format!("{words} ({detail})"),
            None => words,
        }
    }
}

/// A dead device is named by its line, never by its address.
fn dead(last: &Probe, t: Tongue) -> Option<String> {
    let lines: Vec<String> = last.dead_lines.iter().map(ToString::to_string).collect();
    let lines = lines.join(", ");
    (!lines.is_empty()).then(|| {
        t.pick(
            format!(" Địa chỉ ở dòng {lines} của tệp nhóm thử không còn dùng được."),
            format!(" The address in line {lines} of the canary group's file is dead."),
        )
    })
}

fn name(provider: Provider) -> &'static str {
    match provider {
        Provider::Fcm => "FCM",
        Provider::Apns => "APNs",
        Provider::WebPush => "Web Push",
    }
}

fn ago(age: Duration, t: Tongue) -> String {
    t.pick(format!("{} trước", span(age, t)), format!("{} ago", span(age, t)))
}

impl Heard {
    /// What a probe was answered, as a clause; `None`: its dispatcher ended under way.
    pub fn in_words(heard: Option<Self>, t: Tongue) -> &'static str {
        why(heard, t)
    }
}

fn why(heard: Option<Heard>, t: Tongue) -> &'static str {
    match heard {
        Some(Heard::Accepted) => t.pick("đã nhận", "it was taken"),
        Some(Heard::Dead) => t.pick(
            "không thiết bị nào của nhóm thử còn địa chỉ dùng được",
            "every address of the canary group is dead",
        ),
        Some(Heard::Refused) => t.pick("nhà cung cấp từ chối", "the provider refuses it"),
        Some(Heard::Unanswered) => t.pick("không có trả lời", "no answer came"),
        Some(Heard::Later) => t.pick(
            "không kết nối được, hoặc nhà cung cấp bảo chờ",
            "it cannot be reached, or asks to wait",
        ),
        Some(Heard::Parked) => t.pick("đang tạm ngừng", "it is parked"),
        Some(Heard::Malformed) => {
            t.pick("nhà cung cấp cho là sai định dạng", "the provider calls it malformed")
        }
        Some(Heard::Unsent) => {
            t.pick("chưa gửi được trong thời hạn", "it was not sent in its time")
        }
        Some(Heard::Unsealed) => t.pick(
            "mẫu tin thử chưa được ký hoặc không tin được",
            "its template is not sealed, or not to be believed",
        ),
        None => t.pick("máy gửi ngừng giữa chừng", "its dispatcher ended under way"),
    }
}
