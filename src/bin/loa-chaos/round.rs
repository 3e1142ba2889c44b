//! One round: a broadcast or two, a few faults at moments of chance, and the wait until every device has its outcome.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use loa::approval::decide::LEAST_LEFT;
use loa::broadcast::progress::{Progress, progress};
use loa::clock::{Clock as _, SystemClock};
use loa::domain::alert::SHORTEST_LIFE;
use loa::stage::{Desk, Dice, OnAir, People, Sample};
use serde_json::json;
use sqlx::{PgPool, Row as _};
use time::OffsetDateTime;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::fault::{Act, Fault, Kind, Struck};
use crate::scale::Scale;
use crate::world::{World, milliseconds, unix_ms};

/// Alerts that go out on the emergency lane, and others that go out in bulk.
const EMERGENCIES: [&str; 2] = ["01-lu-quet-sat-lo-dat", "02-mua-lon-hoan-luu-bao"];
const BULK: [&str; 3] =
    ["07-tiem-vac-xin-soi", "11-cap-nhat-ung-dung-cong-dan-so", "16-giao-nop-vu-khi-phao"];

/// A round that has not ended so long after its last fault has not worked.
const PATIENCE: Duration = Duration::from_mins(3);

/// How often the database is asked how far a broadcast is.
const LOOK: Duration = Duration::from_millis(100);

/// How long alerts live that must not expire meanwhile, minutes.
const LONG: i64 = 60;

/// What a round is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Emergency,
    Bulk,
    EmergencyDuringBulk,
    StoppedMidway,
    Expiring,
}

/// One broadcast of a round, ended.
pub struct Told {
    pub on_air: OnAir,
    /// When it was over by itself, if that came before its end.
    pub progress: Progress,
    /// The answer to the stop; none when nobody stopped it, it was over, or the answer was lost.
    pub stopped: Option<Stop>,
}

/// A stop, as it was answered.
#[derive(Clone, Copy, Debug)]
pub struct Stop {
    /// When the answer came.
    pub answered_unix_ms: f64,
    /// How many requests were under way, as it says.
    pub in_flight: i64,
}

/// A round that has ended.
pub struct Round {
    pub shape: Shape,
    pub faults: Vec<Struck>,
    /// Of these so many stand for another one that this machine does not allow.
    pub skipped: u32,
    pub told: Vec<Told>,
}

impl Round {
    /// Do its broadcasts end before everybody was told?
    pub fn is_cut_short(&self) -> bool {
        match self.shape {
            Shape::StoppedMidway | Shape::Expiring => true,
            Shape::Emergency | Shape::Bulk | Shape::EmergencyDuringBulk => false,
        }
    }

    /// Stops of which no answer says from when on nothing may start.
    pub fn unchecked_stops(&self) -> u32 {
        let unanswered = self.told.iter().all(|told| told.stopped.is_none());
        (self.shape == Shape::StoppedMidway && unanswered).into()
    }
}

/// Alerts submitted long ago, to be approved as late as the rules admit: none is born with so short a life.
#[derive(Default)]
pub struct Ripening(Vec<(String, OffsetDateTime)>);

impl Ripening {
    /// Submits another three, which will be ripe at different moments.
    pub async fn sow(&mut self, desk: Desk<'_>) -> anyhow::Result<()> {
        let now = SystemClock.now();
        self.0.retain(|(_, expires)| *expires > now);
        let sample = sample(EMERGENCIES[0])?;
        for after in [12, 20, 28] {
            // The API takes whole seconds.
            let expires =
                (now + SHORTEST_LIFE).replace_nanosecond(0)? + time::Duration::seconds(after);
            self.0.push((desk.submit_until(&sample, expires).await?, expires));
        }
        Ok(())
    }

    /// One that can just be approved, and its expiry.
    fn ripe(&mut self, span: Duration) -> Option<(String, OffsetDateTime)> {
        let now = SystemClock.now();
        let least = now + LEAST_LEFT + Duration::from_millis(500);
        let most = least + span;
        let place = self.0.iter().position(|(_, expires)| (least..most).contains(expires))?;
        Some(self.0.swap_remove(place))
    }
}

/// Plays a round to its end. What it is about and what goes wrong in it comes from `dice`.
pub async fn play(
    world: &mut World,
    scale: Scale,
    ripening: &mut Ripening,
    dice: &mut Dice,
) -> anyhow::Result<Round> {
    let expiring = dice.chance(12).then(|| ripening.ripe(scale.span)).flatten();
    let shape = match (&expiring, dice.below(10)) {
        (Some(_), _) => Shape::Expiring,
        (None, 0..=2) => Shape::Emergency,
        (None, 3..=4) => Shape::Bulk,
        (None, 5..=7) => Shape::EmergencyDuringBulk,
        (None, _) => Shape::StoppedMidway,
    };
    let later = dice.moment(Duration::from_millis(500), scale.span.mul_f64(0.5));
    // What comes after a stop meets nobody.
    let within = if shape == Shape::StoppedMidway { later } else { scale.span.mul_f64(0.75) };
    let (mut faults, skipped) = Fault::draw(dice, within, world.disk.is_ok());
    let mut acts = match &expiring {
        Some((_, expires)) => hold_until_just_before(*expires, scale.span, &mut faults)?,
        None => Vec::new(),
    };
    for (place, fault) in faults.iter().enumerate() {
        let mut harm = Some(place);
        let all = fault.acts(dice, scale.devices).into_iter();
        acts.extend(all.map(|(at, act)| (at, harm.take(), act)));
    }
    acts.sort_by_key(|(at, _, _)| *at);

    let (client, url) = (world.stage.client.clone(), world.stage.url.clone());
    let (people, pool) = (world.people.clone(), world.stage.pool.clone());
    let office = Office { client, url, people, pool };
    let (first, second) = office.submit_for(shape, expiring, dice).await?;
    let begun = Instant::from_std(SystemClock.instant());
    let on_air = office.approve(&first).await?;
    let named = format!("{shape:?} · {}", names(&faults));
    let mut faults = faults.into_iter().map(Struck::not_yet).collect::<Vec<_>>();
    let harm = async {
        for (at, fault, act) in acts {
            sleep_until(begun + at).await;
            let what = format!("{act:?}");
            let fault = fault.and_then(|place| faults.get_mut(place));
            hurt(world, act, fault).await.with_context(|| what)?;
        }
        anyhow::Ok(())
    };
    let work = office.carry(shape, on_air, second, begun + later);
    let (harmed, told) = tokio::join!(harm, work);
    harmed.with_context(|| named.clone())?;
    let told = told.context(named)?;
    let over = told.iter().filter_map(|told| told.progress.completed_at).max();
    for fault in &mut faults {
        look_back(world, scale, fault, over).await?;
    }
    Ok(Round { shape, faults, skipped, told })
}

/// What is done when, and the place of the fault it begins, if it begins one.
type Acts = Vec<(Duration, Option<usize>, Act)>;

/// Has most of the province wait for a provider that refuses us until three seconds before the end, so that it comes midway; the
/// faults come in the last `span`.
fn hold_until_just_before(
    expires: OffsetDateTime,
    span: Duration,
    faults: &mut [Fault],
) -> anyhow::Result<Acts> {
    let left = Duration::try_from(expires - SystemClock.now())?;
    for fault in faults {
        fault.at += left.saturating_sub(span);
    }
    let hold = |how: &str| Act::Settings(json!({"fcm": {"link": {"credentials": how}}}));
    let release = left.saturating_sub(Duration::from_secs(3));
    Ok(vec![(Duration::ZERO, None, hold("forbidden")), (release, None, hold("ok"))])
}

/// Does one thing; notes of the `fault` it begins, if it begins one, whether it hit anything.
async fn hurt(world: &mut World, act: Act, fault: Option<&mut Struck>) -> anyhow::Result<()> {
    let Some(fault) = fault else { return world.act(act).await.map(drop) };
    let now = unix_ms();
    if let Some(provider) = fault.fault.kind.refuser() {
        fault.refused_before = world.refused(provider).await?;
    }
    fault.at_unix_ms = world.act(act).await?.then_some(now);
    Ok(())
}

/// What only the end of the broadcasts shows: a fault that met no request, or came when all was over, has missed.
async fn look_back(
    world: &World,
    scale: Scale,
    fault: &mut Struck,
    over: Option<OffsetDateTime>,
) -> anyhow::Result<()> {
    let kind = fault.fault.kind;
    if let Kind::Answers(provider, answer) = kind {
        fault.requests = i64::from(answer.times(scale.devices)) - world.unmet(provider).await?;
    } else if let Some(provider) = kind.refuser() {
        fault.requests = world.refused(provider).await? - fault.refused_before;
    }
    let met_none = kind.meets_requests() && fault.requests == 0;
    if met_none || over.is_some_and(|over| fault.at_unix_ms > Some(milliseconds(over))) {
        fault.at_unix_ms = None;
    }
    Ok(())
}

/// The faults of a round, as they are printed.
pub fn names(faults: &[impl ToString]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The desks of the round, with the stage in others' hands.
struct Office {
    client: reqwest::Client,
    url: String,
    people: People,
    pool: PgPool,
}

impl Office {
    fn desk(&self) -> Desk<'_> {
        Desk::at(&self.client, &self.url, &self.people)
    }

    async fn submit(&self, name: &str) -> anyhow::Result<String> {
        let mut sample = sample(name)?;
        sample.expires_in_minutes = LONG;
        self.desk().submit(&sample).await.with_context(|| format!("submitting {name}"))
    }

    /// Submits what a round of this shape broadcasts: the first alert, unless one is `expiring`, and the one during it.
    async fn submit_for(
        &self,
        shape: Shape,
        expiring: Option<(String, OffsetDateTime)>,
        dice: &mut Dice,
    ) -> anyhow::Result<(String, Option<String>)> {
        let first = match (expiring, shape) {
            (Some((alert, _)), _) => alert,
            (None, Shape::Bulk | Shape::EmergencyDuringBulk) => {
                self.submit(dice.one_of(&BULK)).await?
            }
            (None, _) => self.submit(dice.one_of(&EMERGENCIES)).await?,
        };
        let second = match shape {
            Shape::EmergencyDuringBulk => Some(self.submit(dice.one_of(&EMERGENCIES)).await?),
            Shape::Emergency | Shape::Bulk | Shape::StoppedMidway | Shape::Expiring => None,
        };
        Ok((first, second))
    }

    /// The round's broadcasts from their approval to their end.
    async fn carry(
        &self,
        shape: Shape,
        on_air: OnAir,
        second: Option<String>,
        later: Instant,
    ) -> anyhow::Result<Vec<Told>> {
        let (first, second) = tokio::join!(
            async {
                let mut stopped = None;
                if shape == Shape::StoppedMidway {
                    sleep_until(later).await;
                    stopped = self.stop(&on_air).await?;
                }
                let progress = self.completed(&on_air).await?;
                anyhow::Ok(Told { on_air, progress, stopped })
            },
            async {
                let Some(alert) = second else { return Ok(None) };
                sleep_until(later).await;
                let on_air = self.approve(&alert).await?;
                let progress = self.completed(&on_air).await?;
                anyhow::Ok(Some(Told { on_air, progress, stopped: None }))
            }
        );
        Ok([first?].into_iter().chain(second?).collect())
    }

    /// Approves, however often the API is away. An answer that was lost is found in the database.
    async fn approve(&self, alert: &str) -> anyhow::Result<OnAir> {
        let refused = std::sync::Mutex::new(String::new());
        let approving = async {
            loop {
                match timeout(Duration::from_secs(5), self.desk().approve(alert)).await {
                    Ok(Ok(on_air)) => return on_air,
                    Ok(Err(error)) => {
                        if let Ok(Some(on_air)) = self.approved(alert).await {
                            return on_air;
                        }
                        if let Ok(mut refused) = refused.lock() {
                            *refused = format!("{error:#}");
                        }
                    }
                    Err(_) => {}
                }
                sleep(LOOK).await;
            }
        };
        let approved = timeout(PATIENCE, approving).await;
        approved.with_context(|| format!("nobody could approve: {:?}", refused.into_inner()))
    }

    async fn approved(&self, alert: &str) -> anyhow::Result<Option<OnAir>> {
        let found = "select b.id::text as broadcast, b.created_at, a.incident_id from broadcast b join alert a on a.id = b.alert_id where a.id = $1::uuid";
        let Some(row) = sqlx::query(found).bind(alert).fetch_optional(&self.pool).await? else {
            return Ok(None);
        };
        let incident = loa::domain::id::IncidentId(row.try_get("incident_id")?);
        Ok(Some(OnAir {
            broadcast: row.try_get("broadcast")?,
            approved_at: row.try_get("created_at")?,
            collapse: loa::domain::message::CollapseId::of(incident).as_str().to_owned(),
        }))
    }

    /// Stops, however often the API is away; `None` when the broadcast had ended, or the answer was lost.
    async fn stop(&self, on_air: &OnAir) -> anyhow::Result<Option<Stop>> {
        let stopping = async {
            loop {
                match timeout(Duration::from_secs(8), self.desk().stop(on_air)).await {
                    Ok(Ok(said)) => {
                        return Some(Stop {
                            answered_unix_ms: unix_ms(),
                            in_flight: said["in_flight"].as_i64().unwrap_or(0),
                        });
                    }
                    Ok(Err(error)) if format!("{error:#}").contains("409") => return None,
                    Ok(Err(_)) | Err(_) => sleep(LOOK).await,
                }
            }
        };
        timeout(PATIENCE, stopping).await.context("nobody could stop")
    }

    /// Waits until every device has its outcome, by the database itself: `loa serve` may be dead.
    async fn completed(&self, on_air: &OnAir) -> anyhow::Result<Progress> {
        let id = on_air.broadcast.parse()?;
        let last = std::sync::Mutex::new(None);
        let looking = async {
            loop {
                // While the database is away there is nothing to see.
                if let Ok(Ok(Some(seen))) =
                    timeout(Duration::from_secs(5), progress(&self.pool, id)).await
                {
                    if seen.completed_at.is_some() {
                        return seen;
                    }
                    if let Ok(mut last) = last.lock() {
                        *last = Some(seen);
                    }
                }
                sleep(LOOK).await;
            }
        };
        match timeout(PATIENCE, looking).await {
            Ok(progress) => Ok(progress),
            Err(_) => bail!(
                "broadcast {id} has not ended after {} s: {:#?}",
                PATIENCE.as_secs(),
                last.into_inner().ok().flatten()
            ),
        }
    }
}

fn sample(name: &str) -> anyhow::Result<Sample> {
    Sample::read(&Path::new("demo/alerts").join(format!("{name}.json")))
}
