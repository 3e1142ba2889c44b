//! What must hold of every simulated broadcast, or its figures mean nothing.

use crate::broadcast::{Outcome, Scenario, play};
use crate::costs::Costs;

fn scenario(devices: u64, dispatchers: u32, paced: bool) -> Scenario {
    Scenario { devices, dispatchers, database_cores: 4, paced, one_machine: None }
}

fn last(outcome: &Outcome) -> f64 {
    outcome.seconds[2]
}

#[test]
fn nobody_is_lost_and_repeats_are_counted() {
    let costs = Costs::round();
    for devices in [1, 999, 2_000, 2_001, 123_457, 1_000_000] {
        for paced in [false, true] {
            let outcome = play(&costs, &scenario(devices, 3, paced));
            assert_eq!(outcome.reached, devices, "{devices}, {paced}");
            let repeats = outcome.requests - devices;
            assert!(repeats as f64 <= devices as f64 * 0.0101 + 1.0, "{repeats} of {devices}");
        }
    }
}

#[test]
fn the_same_inputs_give_the_same_broadcast() {
    let costs = Costs::round();
    let twice = [(); 2].map(|()| play(&costs, &scenario(300_000, 5, true)));
    assert_eq!(twice[0].seconds.map(f64::to_bits), twice[1].seconds.map(f64::to_bits));
    assert_eq!(twice[0].busy, twice[1].busy);
}

#[test]
fn no_quota_is_exceeded_by_any_number_of_dispatchers() {
    let costs = Costs::round();
    for dispatchers in [1, 7, 64] {
        let outcome = play(&costs, &scenario(2_000_000, dispatchers, true));
        for (quota, rate) in outcome.quotas.iter().zip(costs.quota) {
            let mut free = 0.0;
            for (from, to, count) in &quota.granted {
                assert!(*from >= free, "one after another: {from} before {free}");
                // Ramp or not, no grant is denser than the rate.
                assert!(f64::from(*count) <= (to - from) * rate * (1.0 + 1e-9) + 1e-6);
                free = *to;
            }
        }
    }
}

#[test]
fn more_dispatchers_are_never_slower() {
    let costs = Costs::round();
    for paced in [false, true] {
        let mut before = f64::INFINITY;
        for dispatchers in [1, 2, 3, 4, 8, 16, 32] {
            let now = last(&play(&costs, &scenario(500_000, dispatchers, paced)));
            // First come, first served is not the best order of all: another one may be a few batches worse.
            assert!(now <= before * 1.01, "{dispatchers}: {now} after {before}");
            before = now;
        }
    }
}

#[test]
fn one_dispatcher_that_only_pushes_takes_what_can_be_computed_by_hand() {
    let mut costs = Costs::round();
    costs.mixture = [1.0, 0.0, 0.0];
    (costs.retry_share, costs.round_trip) = (0.0, 0.0);
    (costs.database_us, costs.broker_us, costs.plan_us) = (0.0, 0.0, 0.0);
    // A million at 10 µs.
    let outcome = play(&costs, &scenario(1_000_000, 1, false));
    assert!((last(&outcome) - 10.0).abs() < 1e-6, "{:?}", outcome.seconds);
    assert_eq!(outcome.busiest().0, "push threads");
    // As many streams as are allowed, each for 50 ms: 8,000 a second.
    costs.round_trip = 0.05;
    let outcome = play(&costs, &scenario(1_000_000, 1, false));
    assert!((last(&outcome) - 1e6 / 8_000.0).abs() < 0.2, "{:?}", outcome.seconds);
    assert_eq!(outcome.busiest().0, "streams to FCM");
}

#[test]
fn a_quota_takes_its_ramp_and_then_its_rate() {
    let mut costs = Costs::round();
    costs.mixture = [1.0, 0.0, 0.0];
    costs.retry_share = 0.0;
    let outcome = play(&costs, &scenario(6_000_000, 8, true));
    // 30 s are lost to the ramp, less what its floor of 5 % gives back: 75 ms. The model lets a batch go when all its permits are there:
    // the last one is still 4,000 requests by 400 streams under way.
    let by_hand = 600.0 + 30.0 - 0.075 + 0.5;
    assert!((last(&outcome) - by_hand).abs() < 0.05, "{:?}", outcome.seconds);
    assert_eq!(outcome.busiest().0, "quota of FCM");
}

#[test]
fn on_one_machine_everything_shares_its_cores() {
    let mut costs = Costs::round();
    costs.mixture = [1.0, 0.0, 0.0];
    (costs.retry_share, costs.round_trip) = (0.0, 0.0);
    let machine = |cores| Scenario { one_machine: Some(cores), ..scenario(1_000_000, 1, false) };
    // 10 + 8 + 2.2 + 1 µs by two cores; whole batches leave gaps.
    let two = last(&play(&costs, &machine(2)));
    assert!((10.6..11.4).contains(&two), "{two}");
    let eight = last(&play(&costs, &machine(8)));
    assert!(
        (10.0..10.4).contains(&eight),
        "one thread pushes, however many cores there are: {eight}"
    );
}
