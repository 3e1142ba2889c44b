//! Are the working days known that limits are counted in?

use sqlx::PgPool;
use time::{Date, Month};

use super::Findings;
use crate::clock::{Clock, SystemClock};
use crate::domain::wording::PROVINCE;
use crate::store::working_year;

/// Limits are counted in working days: this year's are to be written down, and from October on the next one's.
pub(super) async fn look(pool: &PgPool, findings: &mut Findings) {
    let announced = match pool.acquire().await {
        Ok(mut conn) => working_year::all(&mut conn).await,
        Err(error) => Err(error.into()),
    };
    let announced = match announced {
        Ok(years) => years,
        Err(error) => {
            return findings.ill("calendar", &error.to_string(), "see the database's log");
        }
    };
    let missing = years_to_announce(SystemClock.now().to_offset(PROVINCE).date());
    let missing: Vec<String> = missing
        .filter(|year| !announced.iter().any(|plan| plan.year() == *year))
        .map(|year| year.to_string())
        .collect();
    if missing.is_empty() {
        findings.well("calendar", "the working days of every year that is due are written down");
    } else {
        let what = format!(
            "{}: nobody has written down what the government announced; limits are counted by the Labour Code alone",
            missing.join(", ")
        );
        findings.note("calendar", &format!("{what} (console, Lịch làm việc)"));
    }
}

/// The government announces a year's substitute days in the autumn before it.
fn years_to_announce(today: Date) -> std::ops::RangeInclusive<i32> {
    let is_autumn = today.month() >= Month::October;
    today.year()..=today.year() + i32::from(is_autumn)
}

#[cfg(test)]
mod tests {
    use time::macros::date;

    use super::*;

    #[test]
    fn the_next_year_is_due_from_october_on() {
        assert_eq!(years_to_announce(date!(2026 - 09 - 30)), 2026..=2026);
        assert_eq!(years_to_announce(date!(2026 - 10 - 01)), 2026..=2027);
    }
}
