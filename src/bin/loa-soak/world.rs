//! The stage of a soak: as it ships, but that new bulk is not held while an emergency is live.

use std::path::Path;

use anyhow::Context as _;
use loa::stage::{Desk, People, Population, Scene, Servers, Stage};
use uuid::Uuid;

/// What the stage, its database and its virtual host are called.
const NAME: &str = "soak";

/// Few enough that the brake on forgetting, which acts from a thousand on, leaves quarantine at its work.
const DEAD_PERCENT: f64 = 1.0;

/// Everything the traffic meets.
pub struct World {
    /// Processes and servers.
    pub stage: Stage,
    /// Who acts.
    pub people: People,
    /// What the platform signs "this phone is that citizen's" with.
    pub subject_key: String,
    /// The key browsers subscribe with.
    pub vapid_key: String,
}

impl World {
    /// One `loa serve`, two dispatchers, everybody installed.
    pub async fn prepare(devices: u32) -> anyhow::Result<Self> {
        let servers = Servers::of_environment()?;
        let subject_key = format!("{}{}", Uuid::new_v4(), Uuid::new_v4());
        let directory = Path::new(".local").join(NAME);
        std::fs::create_dir_all(&directory)?;
        let file = std::path::absolute(directory.join("subject.key"))?;
        std::fs::write(&file, &subject_key)?;
        let file = file.to_str().context("the checkout's path is not UTF-8")?;
        let scene = Scene {
            name: NAME.to_owned(),
            population: Population { dead_percent: DEAD_PERCENT, ..Population::mixed(devices) },
            configuration: format!(
                "[dispatch]\nbulk_hold_max_hours = 0\n\n[announcements]\nquiet_hours = \"\"\nper_day = 0\n\n[devices]\nsubject_key_file = \"{file}\"\n"
            ),
            simulators: Vec::new(),
        };
        let mut stage = Stage::prepare(&servers, scene).await?;
        let people = People::hire(&stage).await?;
        stage.install_devices()?;
        stage.start_serve().await?;
        for _ in 0..2 {
            stage.start_dispatch().await?;
        }
        let vapid_key = stage.simulators.vapid_key()?;
        Ok(Self { stage, people, subject_key, vapid_key })
    }

    /// The agencies' and the approver's desks.
    pub fn desk(&self) -> Desk<'_> {
        Desk::new(&self.stage, &self.people)
    }
}
