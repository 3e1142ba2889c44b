//! Lists of devices in this process's own configuration: the drill group and the canary group.

use std::sync::Arc;

use anyhow::{Context as _, ensure};

use super::command::web_push_rules;
use crate::config::Config;
use crate::domain::canary;
use crate::domain::device::Provider;
use crate::domain::drill::Group;

/// The drill group, if this process has one.
pub fn drill(config: &Config) -> anyhow::Result<Option<Arc<Group>>> {
    if !config.drill.is_configured() {
        return Ok(None);
    }
    let list = config.drill.group().map_err(|problem| anyhow::anyhow!("{problem}"))?;
    parse("drill", &list, &config.of_drills()).map(Some)
}

/// The canary group, if this process has one: real devices, reached as an emergency reaches them.
pub fn canary(config: &Config) -> anyhow::Result<Option<Arc<Group>>> {
    let list = config.canary.group().map_err(|problem| anyhow::anyhow!("{problem}"))?;
    let Some(list) = list else { return Ok(None) };
    let group = parse("canary", &list, config)?;
    for provider in Provider::ALL {
        let devices = group.word().devices[provider.index()];
        ensure!(
            devices <= canary::MOST,
            "canary.group_file: it lists {devices} devices of {provider}; keep the operator's own, {} at most, to each a probe goes every few minutes",
            canary::MOST
        );
    }
    Ok(Some(group))
}

/// `own`: the configuration with the credentials by which the group is reached.
fn parse(section: &str, list: &[u8], own: &Config) -> anyhow::Result<Arc<Group>> {
    let key = format!("{section}.group_file");
    let group = Group::parse(list, &web_push_rules(own)).context(key.clone())?;
    let credentials = if section == "drill" { "drill." } else { "" };
    for provider in Provider::ALL {
        let is_configured = match provider {
            Provider::Fcm => own.fcm.is_configured(),
            Provider::Apns => own.apns.is_configured(),
            Provider::WebPush => own.webpush.is_configured(),
        };
        ensure!(
            is_configured || group.word().devices[provider.index()] == 0,
            "{key}: it lists devices of {provider}, and [{credentials}{provider}] has no credentials; set them, or take the devices out"
        );
    }
    Ok(Arc::new(group))
}
