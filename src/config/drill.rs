//! Drills: whom they reach, and with which credentials.

use std::path::PathBuf;

use serde::Deserialize;

use super::secret::{optional_path, read_file};
use super::webpush::VapidKey;
use super::{Config, Mode, Problem, Problems};

/// `[drill]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drill {
    /// The list of the phones a drill reaches; without it there are no drills.
    #[serde(deserialize_with = "optional_path")]
    pub group_file: Option<PathBuf>,
    /// Whether the public page shows drills.
    pub public: bool,
    /// The drill app's Google project.
    pub fcm: DrillFcm,
    /// The drill app at Apple.
    pub apns: DrillApns,
    /// The drill site's key.
    pub webpush: DrillWebPush,
}

/// `[drill.fcm]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrillFcm {
    /// The service account's JSON file.
    #[serde(deserialize_with = "optional_path")]
    pub service_account_file: Option<PathBuf>,
}

/// `[drill.apns]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrillApns {
    /// The `.p8` file of the signing key.
    #[serde(deserialize_with = "optional_path")]
    pub key_file: Option<PathBuf>,
    /// The key's identifier.
    pub key_id: String,
    /// The team's identifier.
    pub team_id: String,
    /// The drill app's bundle identifier.
    pub topic: String,
}

/// `[drill.webpush]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrillWebPush {
    /// The keys the members' subscriptions were made with.
    pub vapid_keys: Vec<VapidKey>,
}

impl Drill {
    /// Whether this process sends drills at all.
    pub fn is_configured(&self) -> bool {
        self.group_file.is_some()
    }

    /// The list's content.
    ///
    /// # Errors
    /// When no file is named, or it cannot be read.
    pub fn group(&self) -> Result<Vec<u8>, Problem> {
        let key = "drill.group_file";
        let Some(path) = &self.group_file else {
            return Err(Problem::new(key, "is not set", "list the drill group's devices there"));
        };
        Ok(read_file(key, path)?.expose().clone())
    }
}

impl Config {
    /// The same configuration with the drill's credentials in place of the real ones, and none where the drill has none.
    #[must_use]
    pub fn of_drills(&self) -> Self {
        let mut own = self.clone();
        let drill = &self.drill;
        own.fcm.service_account_file.clone_from(&drill.fcm.service_account_file);
        own.apns.key_file.clone_from(&drill.apns.key_file);
        own.apns.key_id.clone_from(&drill.apns.key_id);
        own.apns.team_id.clone_from(&drill.apns.team_id);
        own.apns.topic.clone_from(&drill.apns.topic);
        own.webpush.vapid_keys.clone_from(&drill.webpush.vapid_keys);
        own.webpush.current_key =
            drill.webpush.vapid_keys.first().map(|key| key.id.clone()).unwrap_or_default();
        own
    }

    /// In production a drill's credentials reach no app that people have: each provider would refuse a real phone's address.
    pub(super) fn check_drill(&self, problems: &mut Problems) {
        if self.mode != Mode::Production || !self.drill.is_configured() {
            return;
        }
        let mut same = |key: &str, remedy: &str| {
            problems.add(
                key,
                "is the one of real alerts, so that a drill could reach real phones",
                remedy,
            );
        };
        if let (Some(own), Some(real)) =
            (&self.drill.fcm.service_account_file, &self.fcm.service_account_file)
            && (own == real || project(own).is_some_and(|own| project(real) == Some(own)))
        {
            same("drill.fcm.service_account_file", "use a Google project of the drill app's own");
        }
        let apns = &self.drill.apns;
        if apns.key_file.is_some() && apns.topic == self.apns.topic {
            same("drill.apns.topic", "use the bundle identifier of the drill app");
        }
        for own in &self.drill.webpush.vapid_keys {
            let content = |key: &VapidKey| key.private_key().ok().map(|key| key.expose().clone());
            let is_real = |real: &VapidKey| {
                own.private_key_file == real.private_key_file
                    || content(own).is_some_and(|own| content(real) == Some(own))
            };
            if self.webpush.vapid_keys.iter().any(is_real) {
                same("drill.webpush.vapid_keys", "make a key of the drill site's own");
            }
        }
    }
}

/// The Google project of a service account's file. One that cannot be read is reported where it is used.
fn project(path: &std::path::Path) -> Option<String> {
    let content = read_file("drill.fcm.service_account_file", path).ok()?;
    let account: serde_json::Value = serde_json::from_slice(content.expose()).ok()?;
    Some(account["project_id"].as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::{Config, Mode, Problems};
    use super::*;

    type Change = fn(&mut Config);

    /// A file of its own for each, so that only their content can be the same.
    fn written(name: &str, content: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("loa-drill-{}-{name}", uuid::Uuid::new_v4()));
        std::fs::write(&path, content).expect("a temporary file");
        path
    }

    fn key(path: PathBuf) -> VapidKey {
        VapidKey { id: "2026".into(), private_key_file: path, public_key: None }
    }

    fn complaints(mode: Mode, change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config::for_testing();
        config.mode = mode;
        config.drill.group_file = Some(PathBuf::from("group.ndjson"));
        config.fcm.service_account_file =
            Some(written("real.json", r#"{"project_id":"cong-dan-so"}"#));
        config.apns.key_file = Some(PathBuf::from("AuthKey.p8"));
        config.apns.topic = "vn.congdanso".into();
        config.webpush.vapid_keys = vec![key(written("real.pem", "the province's own"))];
        change(&mut config);
        let mut problems = Problems::default();
        config.check_drill(&mut problems);
        problems.to_string()
    }

    fn of_its_own(config: &mut Config) {
        let account = written("drill.json", r#"{"project_id":"dien-tap"}"#);
        config.drill.fcm.service_account_file = Some(account);
        // One signing key serves all apps of a team.
        config.drill.apns.key_file.clone_from(&config.apns.key_file);
        config.drill.apns.topic = "vn.congdanso.dientap".into();
        config.drill.webpush.vapid_keys = vec![key(written("drill.pem", "the drill's own"))];
    }

    #[test]
    fn production_does_not_start_where_a_drill_has_the_credentials_of_real_alerts() {
        assert_eq!(complaints(Mode::Production, of_its_own), "");
        let ways: [(&str, Change); 5] = [
            ("drill.fcm.service_account_file: ", |config| {
                let real = config.fcm.service_account_file.clone();
                config.drill.fcm.service_account_file = real;
            }),
            ("drill.fcm.service_account_file: ", |config| {
                let same = r#"{"project_id":"cong-dan-so","private_key_id":"another"}"#;
                config.drill.fcm.service_account_file = Some(written("copy.json", same));
            }),
            ("drill.apns.topic: ", |config| config.drill.apns.topic = config.apns.topic.clone()),
            ("drill.webpush.vapid_keys: ", |config| {
                config.drill.webpush.vapid_keys.clone_from(&config.webpush.vapid_keys);
            }),
            ("drill.webpush.vapid_keys: ", |config| {
                let same = written("copy.pem", "the province's own");
                config.drill.webpush.vapid_keys = vec![key(same)];
            }),
        ];
        for (complaint, change) in ways {
            let with = |config: &mut Config| {
                of_its_own(config);
                change(config);
            };
            let said = complaints(Mode::Production, with);
            assert!(said.starts_with(complaint) && said.lines().count() == 1, "{said}");
            assert_eq!(complaints(Mode::Demo, with), "", "a demo has but one");
        }
    }
}
