use proptest::prelude::*;
use time::macros::datetime;

use super::*;

/// What ships.
fn shipped() -> Announcements {
    Announcements {
        quiet: Some(QuietHours::parse("21:00-06:30").unwrap()),
        per_day: NonZeroU32::new(3),
    }
}

fn announcement(send_at: Option<OffsetDateTime>) -> Asked {
    Asked { purpose: Purpose::Alert, lane: Lane::Bulk, kind: Kind::Announcement, send_at }
}

fn warning(lane: Lane, send_at: Option<OffsetDateTime>) -> Asked {
    Asked { purpose: Purpose::Alert, lane, kind: Kind::Warning, send_at }
}

fn later(at: OffsetDateTime, waits_for: WaitsFor) -> Begins {
    Begins::Later { at, waits_for }
}

const NOON: OffsetDateTime = datetime!(2026-11-23 12:00 +7);
const NIGHT: OffsetDateTime = datetime!(2026-11-23 22:00 +7);
const MORNING: OffsetDateTime = datetime!(2026-11-24 06:33 +7);

#[test]
fn an_announcement_goes_by_day_and_waits_by_night() {
    let begins = |now| begins(announcement(None), shipped(), &[], now);
    assert_eq!(
        begins(NOON),
        Begins::Now,
        "at once is not scheduled: it need not avoid the quarter"
    );
    assert_eq!(begins(datetime!(2026-11-23 20:59:59 +7)), Begins::Now);
    assert_eq!(begins(datetime!(2026-11-23 21:00 +7)), later(MORNING, WaitsFor::QuietHours));
    assert_eq!(begins(NIGHT), later(MORNING, WaitsFor::QuietHours));
    assert_eq!(begins(datetime!(2026-11-24 06:29:59.5 +7)), later(MORNING, WaitsFor::QuietHours));
    assert_eq!(begins(datetime!(2026-11-24 06:30 +7)), Begins::Now);
}

#[test]
fn what_asks_for_a_time_gets_the_next_minute_that_fcm_does_not_mind() {
    for (asked, begins_at) in [
        (datetime!(2026-11-23 13:00 +7), datetime!(2026-11-23 13:03 +7)),
        (datetime!(2026-11-23 13:02:59 +7), datetime!(2026-11-23 13:03 +7)),
        (datetime!(2026-11-23 13:03:20 +7), datetime!(2026-11-23 13:03:20 +7)),
        (datetime!(2026-11-23 13:12:59 +7), datetime!(2026-11-23 13:12:59 +7)),
        (datetime!(2026-11-23 13:13 +7), datetime!(2026-11-23 13:18 +7)),
        (datetime!(2026-11-23 13:58 +7), datetime!(2026-11-23 14:03 +7)),
        (datetime!(2026-11-23 20:58 +7), MORNING),
    ] {
        let waits_for = if begins_at == MORNING { WaitsFor::QuietHours } else { WaitsFor::SendAt };
        let begun = begins(announcement(Some(asked)), shipped(), &[], NOON);
        assert_eq!(begun, later(begins_at, waits_for), "{asked}");
    }
    assert_eq!(begins(announcement(Some(NOON)), shipped(), &[], NOON), Begins::Now, "it has come");
}

#[test]
fn a_full_day_is_followed_by_the_next_that_is_not() {
    let today = [NOON; 3];
    let full = begins(announcement(None), shipped(), &today, NOON);
    assert_eq!(
        full,
        later(MORNING, WaitsFor::NextDay),
        "past midnight, and then past the night: the day was full"
    );
    assert_eq!(begins(announcement(None), shipped(), &today[1..], NOON), Begins::Now);
    let both: Vec<_> = today.into_iter().chain([MORNING; 3]).collect();
    let next = begins(announcement(None), shipped(), &both, NOON);
    assert_eq!(next, later(datetime!(2026-11-25 06:33 +7), WaitsFor::NextDay));
    let day_and_night = Announcements { quiet: None, ..shipped() };
    let at_midnight = begins(announcement(None), day_and_night, &today, NOON);
    assert_eq!(at_midnight, later(datetime!(2026-11-24 00:03 +7), WaitsFor::NextDay));
}

#[test]
fn a_warning_waits_for_its_own_time_only() {
    let full = [NIGHT; 9];
    assert_eq!(begins(warning(Lane::Bulk, None), shipped(), &full, NIGHT), Begins::Now);
    let at = datetime!(2026-11-24 02:05 +7);
    let asked = warning(Lane::Bulk, Some(at));
    assert_eq!(begins(asked, shipped(), &full, NIGHT), later(at, WaitsFor::SendAt));
}

#[test]
fn quiet_hours_are_written_in_one_way() {
    for wrong in
        ["", "21:00", "21:00–06:30", "9:00-10:00", "24:00-06:30", "21:60-06:30", "+1:00-02:00"]
    {
        assert_eq!(QuietHours::parse(wrong), Err(NotQuietHours::Unreadable), "{wrong}");
    }
    for wrong in ["21:00-21:00", "06:31-06:30", "00:00-20:01"] {
        assert_eq!(QuietHours::parse(wrong), Err(NotQuietHours::Length), "{wrong}");
    }
    let by_day = QuietHours::parse("12:00-13:30").unwrap();
    assert_eq!(by_day.end(NOON), Some(datetime!(2026-11-23 13:30 +7)));
    assert_eq!(by_day.end(datetime!(2026-11-23 13:30 +7)), None);
}

#[test]
fn a_word_and_what_it_waits_for_name_each_other() {
    for what in WaitsFor::ALL {
        assert_eq!(WaitsFor::from_word(what.as_str()), Some(what));
    }
}

fn moments() -> impl Strategy<Value = OffsetDateTime> {
    // Four weeks, in milliseconds.
    (0i64..28 * DAY * 1000).prop_map(|passed| NOON + Duration::milliseconds(passed))
}

fn nights() -> impl Strategy<Value = Option<QuietHours>> {
    let night = (0..DAY, 60..=QuietHours::LONGEST)
        .prop_map(|(from, length)| QuietHours { from: from / 60 * 60, length: length / 60 * 60 });
    proptest::option::of(night)
}

fn rules() -> impl Strategy<Value = Announcements> {
    (nights(), 0u32..4)
        .prop_map(|(quiet, per_day)| Announcements { quiet, per_day: NonZeroU32::new(per_day) })
}

fn at(begins: Begins, now: OffsetDateTime) -> OffsetDateTime {
    match begins {
        Begins::Now => now,
        Begins::Later { at, .. } => at,
    }
}

proptest! {
    #[test]
    fn an_announcement_begins_when_everything_allows_it(
        rules in rules(), send_at in proptest::option::of(moments()), now in moments(),
        taken in proptest::collection::vec(moments(), 0..40),
    ) {
        let begun = begins(announcement(send_at), rules, &taken, now);
        let begins_at = at(begun, now);
        prop_assert!(begins_at >= now);
        prop_assert!(send_at.is_none_or(|asked| begins_at >= asked));
        prop_assert_eq!(rules.quiet.and_then(|quiet| quiet.end(begins_at)), None);
        if let Some(per_day) = rules.per_day {
            let that_day = taken.iter().filter(|other| day(**other) == day(begins_at)).count();
            prop_assert!(that_day < per_day.get() as usize);
        }
        if let Begins::Later { at, .. } = begun {
            let past = at.unix_timestamp().div_euclid(60).rem_euclid(15);
            prop_assert!((3..=12).contains(&past), "{at}");
        }
    }

    #[test]
    fn who_asks_later_never_begins_earlier(
        rules in rules(), one in moments(), other in moments(), now in moments(),
        taken in proptest::collection::vec(moments(), 0..40),
    ) {
        let (first, second) = (one.min(other), one.max(other));
        let begun = |asked, now| at(begins(announcement(asked), rules, &taken, now), now);
        prop_assert!(begun(Some(first), now) <= begun(Some(second), now));
    }

    #[test]
    fn nothing_makes_an_emergency_or_what_takes_an_alerts_place_wait(
        rules in rules(), send_at in proptest::option::of(moments()), now in moments(),
        taken in proptest::collection::vec(moments(), 0..40),
    ) {
        for kind in [Kind::Warning, Kind::Announcement] {
            for lane in [Lane::Emergency, Lane::Personal, Lane::Bulk] {
                for purpose in Purpose::ALL {
                    let may_wait = purpose == Purpose::Alert && lane == Lane::Bulk;
                    if may_wait {
                        continue;
                    }
                    let asked = Asked { purpose, lane, kind, send_at };
                    prop_assert_eq!(begins(asked, rules, &taken, now), Begins::Now);
                    prop_assert_eq!((asked.not_before(), asked.keeps_quiet()), (None, false));
                }
            }
        }
    }

    #[test]
    fn what_is_moved_is_moved_by_minutes_and_once(at in moments()) {
        let moved = off_quarter(at);
        prop_assert!(moved >= at && moved - at <= Duration::minutes(5));
        prop_assert_eq!(off_quarter(moved), moved);
    }
}
