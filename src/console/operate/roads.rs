//! The providers: whether each takes pushes, how fast it may be asked, what became of the last hour, and its last probes as a figure.

use std::fmt::Write as _;

use sqlx::PgConnection;

use crate::config::pacing::Pacing;
use crate::console::screens::platform;
use crate::domain::canary::{Heard, Sight};
use crate::domain::device::Provider;
use crate::domain::wording::{self, Tongue};
use crate::store::StoreError;
use crate::store::canary::{self, Past};
use crate::store::liveness::{self, LiveDispatcher};
use crate::store::operate::{self, Lately};
use crate::store::permit::{self, Quota};

/// Reduced quotas that are listed: strangers may invent push services.
const QUOTAS: i64 = 50;

/// The figure's own units.
const WIDTH: i64 = 1000;
const HEIGHT: i64 = 100;

/// One provider at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoadView {
    /// As officers call it.
    pub name: &'static str,
    /// Its state, on a chip.
    pub state: &'static str,
    /// Is that a state somebody has to look at?
    pub is_bad: bool,
    /// Where and why it is parked, or for how long it asked us to wait.
    pub why: Vec<String>,
    /// How fast the fleet may ask it now.
    pub rate: String,
    /// Its last probe.
    pub probe: String,
    /// Is that a probe somebody has to look at?
    pub is_doubtful: bool,
    /// Devices of the last hour: taken, gone, failed, unanswered.
    pub lately: [String; 4],
}

/// Asks the database.
pub async fn look(
    conn: &mut PgConnection,
    pacing: &Pacing,
    t: Tongue,
) -> Result<Vec<RoadView>, StoreError> {
    let live = liveness::live_dispatchers(&mut *conn).await?;
    let reduced = permit::reduced(conn, QUOTAS).await?;
    let sights = canary::sights(conn).await?;
    let lately = operate::lately(conn).await?;
    let roads = sights.iter().zip(lately).map(|(sight, lately)| {
        let own = reduced.iter().filter(|quota| is_of(quota, sight.provider)).collect::<Vec<_>>();
        RoadView::of(sight, &live, &own, pacing, lately, t)
    });
    Ok(roads.collect())
}

/// A drill's quota is its own.
fn is_of(quota: &Quota, provider: Provider) -> bool {
    match provider {
        Provider::Fcm | Provider::Apns => quota.name == provider.as_str(),
        Provider::WebPush => quota.name.starts_with("webpush:"),
    }
}

impl RoadView {
    fn of(
        sight: &Sight,
        live: &[LiveDispatcher],
        reduced: &[&Quota],
        pacing: &Pacing,
        lately: Lately,
        t: Tongue,
    ) -> Self {
        let provider = sight.provider;
        let parked: Vec<String> = live
            .iter()
            .flat_map(|one| one.parked_providers().map(move |(name, why)| (one, name, why)))
            .filter(|(_, name, _)| *name == provider.as_str())
            .map(|(one, _, why)| format!("{}: {why}", one.host))
            .collect();
        let closed: Vec<String> = reduced
            .iter()
            .filter_map(|quota| {
                let wait = time::Duration::try_from(quota.closed?).unwrap_or_default();
                let words = t.pick("bảo chờ", "asks to wait");
                Some(format!("{}: {words} {}", quota.name, wording::span(wait, t)))
            })
            .collect();
        let state = match () {
            () if !parked.is_empty() => t.pick("Tạm ngừng", "Parked"),
            () if live.is_empty() => t.pick("Không có máy gửi", "No dispatcher"),
            () if !closed.is_empty() => t.pick("Bảo chờ", "Asks to wait"),
            () if !reduced.is_empty() => t.pick("Giảm tốc", "Slowed down"),
            () => t.pick("Thông", "Open"),
        };
        Self {
            name: platform(provider),
            state,
            is_bad: !parked.is_empty() || live.is_empty() || !closed.is_empty(),
            why: parked.into_iter().chain(closed).collect(),
            rate: rate(provider, reduced, pacing, t),
            probe: sight.in_words(t),
            is_doubtful: sight.standing().is_doubtful(),
            lately: [lately.accepted, lately.gone, lately.failed, lately.unknown]
                .map(|count| wording::number(count, t)),
        }
    }
}

/// How fast the whole fleet may ask: the configured rate, or the share of it that the provider has left us.
fn rate(provider: Provider, reduced: &[&Quota], pacing: &Pacing, t: Tongue) -> String {
    let quota = match provider {
        Provider::Fcm => pacing.fcm_per_second,
        Provider::Apns => pacing.apns_per_second,
        Provider::WebPush => pacing.webpush_per_origin_per_second,
    };
    if quota == 0 {
        return t.pick("không giới hạn", "not limited").to_owned();
    }
    let full = format!("{}/{}", wording::number(quota.into(), t), t.pick("giây", "s"));
    let each = match provider {
        Provider::Fcm | Provider::Apns => full.clone(),
        Provider::WebPush => {
            t.pick(format!("{full} mỗi dịch vụ"), format!("{full} for each service"))
        }
    };
    let Some(least) = reduced.first().filter(|quota| quota.share < 1.0) else { return each };
    let percent = wording::number(whole(least.share * 100.0), t);
    match provider {
        Provider::Fcm | Provider::Apns => {
            let now = wording::number(whole(least.share * f64::from(quota)).max(1), t);
            t.pick(
                format!("{now}/giây, {percent} % của {full}"),
                format!("{now}/s, {percent} % of {full}"),
            )
        }
        Provider::WebPush => {
            let slowed = reduced.iter().filter(|quota| quota.share < 1.0).count();
            t.pick(
                format!("{each}; {slowed} dịch vụ giảm tốc, thấp nhất {percent} %"),
                format!("{each}; {slowed} slowed down, to {percent} % at least"),
            )
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a rate, far below what an i64 holds")]
fn whole(value: f64) -> i64 {
    value.floor() as i64
}

/// The last probes of a provider, drawn: a bar for each, as high as it took long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plot {
    /// As officers call it.
    pub name: &'static str,
    /// In words, for who does not see it.
    pub label: String,
    /// Bars of what was taken.
    pub taken: String,
    /// Bars, as high as the figure, of what was not.
    pub refused: String,
    /// What stands at the axis: the highest value, and the first and the last moment.
    pub top: String,
    /// When the first was begun.
    pub first: String,
    /// When the last was begun.
    pub last: String,
    /// The newest first: when, what became of it, after how long.
    pub rows: Vec<(String, &'static str, String)>,
}

/// A figure for each provider that was probed.
pub fn plots(past: &[Past], t: Tongue) -> Vec<Plot> {
    let plots = Provider::ALL.map(|provider| {
        let own: Vec<Past> = past.iter().filter(|one| one.provider == provider).copied().collect();
        Plot::of(provider, &own, t)
    });
    plots.into_iter().flatten().collect()
}

impl Plot {
    fn of(provider: Provider, past: &[Past], t: Tongue) -> Option<Self> {
        let (first, last) = (past.first()?, past.last()?);
        let took = |one: &Past| match one.heard {
            Some((Heard::Accepted, took)) => Some(i64::from(took)),
            Some(_) | None => None,
        };
        let slowest = past.iter().filter_map(took).max().unwrap_or(0);
        let top = round(slowest);
        let (mut taken, mut refused) = (String::new(), String::new());
        let count = i64::try_from(past.len()).unwrap_or(i64::MAX);
        // A lone probe is not as wide as the figure; four fifths of a place are the bar.
        let places = count.max(20);
        let wide = (WIDTH * 4 / 5 / places).max(1);
        for (at, one) in (0..).zip(past) {
            let left = at * WIDTH / places;
            let (bars, high) = match took(one) {
                Some(took) => (&mut taken, (took * HEIGHT / top).max(1)),
                None => (&mut refused, HEIGHT),
            };
            let _ = write!(bars, "M{left} {HEIGHT}v-{high}h{wide}v{high}z");
        }
        let milliseconds = |value: i64| format!("{} ms", wording::number(value, t));
        let well = past.iter().filter_map(took).count();
        let label = t.pick(
            format!(
                "{}: {count} lần thử gần nhất, {well} lần được nhận, chậm nhất {slowest} ms",
                platform(provider)
            ),
            format!(
                "{}: the last {count} probes, {well} taken, the slowest in {slowest} ms",
                platform(provider)
            ),
        );
        let rows = past.iter().rev().map(|one| {
            let heard = one.heard.map(|(heard, _)| heard);
            let after = one.heard.map_or_else(String::new, |(_, took)| milliseconds(took.into()));
            (wording::moment(one.begun_at), Heard::in_words(heard, t), after)
        });
        Some(Self {
            name: platform(provider),
            label,
            taken,
            refused,
            top: milliseconds(top),
            first: wording::moment(first.begun_at),
            last: wording::moment(last.begun_at),
            rows: rows.collect(),
        })
    }
}

/// A round number that is not exceeded: 1, 2 or 5 of a power of ten.
fn round(value: i64) -> i64 {
    let mut unit = 1;
    loop {
        if let Some(top) = [1, 2, 5].map(|n| n * unit).into_iter().find(|top| *top >= value) {
            return top;
        }
        unit *= 10;
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const PACING: Pacing = Pacing {
        fcm_per_second: 300,
        apns_per_second: 0,
        webpush_per_origin_per_second: 20,
        burst_ms: 10,
        ramp_seconds: 60,
    };

    fn past(heard: Option<(Heard, i32)>) -> Past {
        let begun_at = datetime!(2026-11-21 07:05 UTC);
        Past { provider: Provider::Fcm, begun_at, heard }
    }

    #[test]
    fn a_bar_is_as_high_as_the_probe_took_and_one_that_was_not_taken_fills_the_figure() {
        let probes =
            [past(Some((Heard::Accepted, 50))), past(Some((Heard::Refused, 9))), past(None)];
        let plots = plots(&probes, Tongue::Vi);
        let [plot] = plots.as_slice() else { panic!("one provider was probed: {plots:?}") };
        assert_eq!(plot.taken, "M0 100v-100h40v100z");
        assert_eq!(plot.refused, "M50 100v-100h40v100zM100 100v-100h40v100z");
        assert_eq!(plot.label, "Android: 3 lần thử gần nhất, 1 lần được nhận, chậm nhất 50 ms");
        assert_eq!(plot.first, "21/11/2026 14:05");
        assert_eq!(plot.rows.len(), 3);
    }

    #[test]
    fn a_figure_without_a_probe_is_no_figure_and_one_without_a_taken_probe_is_one() {
        assert!(plots(&[], Tongue::En).is_empty());
        assert_eq!(plots(&[past(None)], Tongue::En)[0].taken, "");
        assert_eq!([0, 1, 3, 50, 51, 1001].map(round), [1, 1, 5, 50, 100, 2000]);
    }

    #[test]
    fn the_rate_is_what_the_provider_has_left_of_it() {
        let quota = |name: &str, share| Quota { name: name.to_owned(), share, closed: None };
        let rate = |provider, reduced: &[&Quota]| rate(provider, reduced, &PACING, Tongue::Vi);
        assert_eq!(rate(Provider::Fcm, &[]), "300/giây");
        assert_eq!(rate(Provider::Apns, &[&quota("apns", 0.5)]), "không giới hạn");
        assert_eq!(rate(Provider::Fcm, &[&quota("fcm", 0.5)]), "150/giây, 50 % của 300/giây");
        let slow = quota("webpush:a", 0.25);
        assert_eq!(
            rate(Provider::WebPush, &[&slow, &quota("webpush:b", 0.5)]),
            "20/giây mỗi dịch vụ; 2 dịch vụ giảm tốc, thấp nhất 25 %"
        );
        assert!(is_of(&slow, Provider::WebPush) && !is_of(&quota("drill:fcm", 0.5), Provider::Fcm));
    }
}
