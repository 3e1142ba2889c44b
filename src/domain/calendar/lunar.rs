//! The holidays that the moon decides.
//!
//! The Vietnamese calendar is the Chinese one reckoned at UTC+7 (Quyết định 121/CP, 8 August 1967), which is why its months, and once in a
//! generation its new year, begin on another day than in Beijing.

use calendrical_calculations::chinese_based::{
    ChineseBased, YearBounds, chinese_based_date_from_fixed, days_until_month,
};
use calendrical_calculations::gregorian::fixed_from_gregorian;
use calendrical_calculations::rata_die::RataDie;
use time::Date;

/// The third month, on whose tenth day the Hùng Kings are remembered.
const THIRD_MONTH: u8 = 3;

/// The Julian day that rata die begins to count after.
const BEFORE_FIRST_DAY: i32 = 1_721_425;

struct Vietnamese;

impl ChineseBased for Vietnamese {
    fn utc_offset(_: RataDie) -> f64 {
        7.0 / 24.0
    }

    /// Only the numbers of years hang on it, which nothing here asks for.
    const EPOCH: RataDie = fixed_from_gregorian(-2636, 2, 15);
    const DEBUG_NAME: &'static str = "vietnamese";
}

/// The first day of the lunar year that begins in this year (*mùng 1 Tết*).
pub(super) fn new_year(year: i32) -> Option<Date> {
    date(YearBounds::compute::<Vietnamese>(fixed_from_gregorian(year, 7, 1)).new_year)
}

/// The tenth day of the third month (*Giỗ Tổ Hùng Vương*). A leap month is never the third one that counts: it comes after the month whose
/// number it bears.
pub(super) fn hung_kings(year: i32) -> Option<Date> {
    let midyear = chinese_based_date_from_fixed::<Vietnamese>(fixed_from_gregorian(year, 7, 1));
    let is_later = midyear.leap_month.is_some_and(|leap| leap.get() <= THIRD_MONTH);
    let place = THIRD_MONTH + u8::from(is_later);
    let new_year = midyear.year_bounds.new_year;
    date(new_year + i64::from(days_until_month::<Vietnamese>(new_year, place)) + 9)
}

fn date(day: RataDie) -> Option<Date> {
    let julian = i32::try_from(day.to_i64_date()).ok()?.checked_add(BEFORE_FIRST_DAY)?;
    Date::from_julian_day(julian).ok()
}
