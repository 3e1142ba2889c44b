//! Personal notices: the feedback system tells what became of a case, and the person's phone must hear of it exactly once.

use std::collections::VecDeque;
use std::time::Duration;

use loa::clock::{Clock as _, SystemClock};
use loa::stage::Dice;
use tokio::time::Instant;

use crate::run::{Run, add};
use crate::world::World;

/// A notice may take so long: FCM may be having a bad moment.
const PATIENCE: Duration = Duration::from_mins(2);

/// How long after it was told one is first looked for.
const SOON: Duration = Duration::from_secs(5);

/// A notice that was told and not seen yet.
struct Expected {
    collapse: String,
    told: Instant,
}

fn now() -> Instant {
    Instant::from_std(SystemClock.instant())
}

/// Tells people about their cases until the run is over, then waits for the last of them.
pub async fn keep_telling(world: &World, run: &Run, mut dice: Dice, people: Vec<String>) {
    let mut expected = VecDeque::new();
    let mut number = 0_u32;
    loop {
        let pause = Duration::from_millis(dice.between(500, 1_500).into());
        let goes_on = run.rest(pause).await;
        if goes_on {
            number += 1;
            let person = &people[dice.below(u32::try_from(people.len()).unwrap_or(1)) as usize];
            let case = format!("soak-{number}");
            let told = world.desk().tell_result(person, &case).await;
            if let Some(collapse) = run.right(told) {
                expected.push_back(Expected { collapse, told: now() });
            }
        } else if expected.is_empty() {
            return;
        } else {
            // The run is over: `rest` does not wait any more.
            tokio::time::sleep(pause).await;
        }
        look(world, run, &mut expected).await;
    }
}

/// Looks for those that should have come by now; who has not is looked for again.
async fn look(world: &World, run: &Run, expected: &mut VecDeque<Expected>) {
    let mut late = Vec::new();
    while let Some(next) = expected.front()
        && now().duration_since(next.told) >= SOON
    {
        let Some(next) = expected.pop_front() else { return };
        let Some(report) = run.right(world.stage.simulators.report(&next.collapse).await) else {
            continue;
        };
        add(&run.counts.doubled, report.duplicates);
        if report.per_provider.values().any(|arrived| arrived.accepted > 0) {
            add(&run.counts.notices, 1);
        } else if now().duration_since(next.told) < PATIENCE {
            late.push(next);
        } else {
            add(&run.counts.lost, 1);
            run.say(&format!("soak: the notice {} has not come", next.collapse));
        }
    }
    // Older than all others: they stay in front.
    for one in late.into_iter().rev() {
        expected.push_front(one);
    }
}
