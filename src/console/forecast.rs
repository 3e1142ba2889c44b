//! The forecast of a broadcast in words.

use std::time::Duration;

use crate::approval::meets::Traffic;
use crate::delivery::forecast::Forecast;
use crate::domain::device::Provider;
use crate::domain::wording::{self, Tongue};
use crate::store::reach::Road;

/// What a broadcast meets on the way to each provider, in the order of their numbers.
pub fn roads(traffic: &[Traffic]) -> [Road; 3] {
    Provider::ALL.map(|provider| {
        let found = traffic.iter().find(|traffic| traffic.provider == provider);
        found.map_or(Road { share: 1.0, ..Road::default() }, |found| Road {
            ahead: found.ahead,
            share: found.share,
            closed_seconds: found.closed_seconds,
        })
    })
}

/// *Dự kiến 50 % sau 21 giây · 99 % sau 44 giây · máy cuối cùng sau 46 giây.*
pub fn in_words(forecast: Option<Forecast>, t: Tongue) -> String {
    let Some(forecast) = forecast else {
        let words = t.pick("Không giới hạn tốc độ gửi.", "The sending speed is not limited.");
        return words.to_owned();
    };
    let after = |length: Duration| {
        let seconds = i64::try_from(length.as_secs() + 1).unwrap_or(i64::MAX);
        format!("{} {}", t.pick("sau", "after"), wording::span(time::Duration::seconds(seconds), t))
    };
    format!(
        "{} 50 % {} · 99 % {} · {} {}.",
        t.pick("Dự kiến", "Expected:"),
        after(forecast.half),
        after(forecast.nearly_all),
        t.pick("máy cuối cùng", "the last one"),
        after(forecast.last)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forecast_is_said_in_whole_seconds() {
        let [half, nearly_all, last] = [20.4, 43.0, 46.9].map(Duration::from_secs_f64);
        assert_eq!(
            in_words(Some(Forecast { half, nearly_all, last }), Tongue::Vi),
            "Dự kiến 50 % sau 21 giây · 99 % sau 44 giây · máy cuối cùng sau 47 giây."
        );
        assert_eq!(in_words(None, Tongue::En), "The sending speed is not limited.");
    }
}
