//! Agencies and officers. The people are fictitious; the accounts are marked as demo accounts, which production refuses.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde::Deserialize;

use super::Stage;
use crate::domain::account::Role;
use crate::domain::authority::NewAccount;
use crate::identity::accounts;

/// The password of every demo account.
pub const PASSWORD: &str = "loa-demo-caobang";

/// Who did it, in the audit trail.
const ACTOR: &str = "demo";

#[derive(Deserialize)]
struct Province {
    agencies: Vec<AgencySeed>,
}

#[derive(Deserialize)]
struct AgencySeed {
    code: String,
    name: String,
    #[serde(default)]
    focal: bool,
    officers: Vec<OfficerSeed>,
}

#[derive(Deserialize)]
struct OfficerSeed {
    login: String,
    name: String,
    role: Role,
}

/// The accounts the demo acts with.
#[derive(Clone, Debug)]
pub struct People {
    /// An API key of a submitter, by agency code.
    pub submitters: BTreeMap<String, String>,
    /// An API key of the approver.
    pub approver: String,
    /// An API key of the feedback system.
    pub system: String,
    /// Log-ins for the console, all with [`PASSWORD`].
    pub logins: Vec<Login>,
}

/// Somebody who may sign in to the console.
#[derive(Clone, Debug)]
pub struct Login {
    /// The name to sign in with.
    pub name: String,
    /// What for.
    pub role: Role,
}

impl People {
    /// Creates agencies and officers with keys and a password.
    pub async fn hire(stage: &Stage) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string("demo/agencies.json")
            .context("demo/agencies.json; run it from the repository's root")?;
        let province: Province = serde_json::from_str(&text)?;
        let mut submitters = BTreeMap::new();
        let mut approver = None;
        let mut system = None;
        let mut logins = Vec::new();
        for agency in province.agencies {
            let id = accounts::upsert_agency(
                &stage.pool,
                ACTOR,
                &agency.code,
                &agency.name,
                agency.focal,
            )
            .await?;
            for officer in agency.officers {
                let account = NewAccount {
                    agency: id,
                    name: officer.name,
                    person: officer.login.clone(),
                    login: officer.login.clone(),
                    role: officer.role,
                };
                let officer_id =
                    accounts::create_officer(&stage.pool, ACTOR, account, true).await?;
                // One of each sits at the console; of those who write, the first of an agency that warns.
                let sits = officer.role != Role::System
                    && (officer.role != Role::Submitter || !agency.focal)
                    && !logins.iter().any(|login: &Login| login.role == officer.role);
                if sits {
                    accounts::set_password(&stage.pool, ACTOR, officer_id, PASSWORD).await?;
                    logins.push(Login { name: officer.login.clone(), role: officer.role });
                }
                let wanted = match officer.role {
                    Role::Submitter => !submitters.contains_key(&agency.code),
                    Role::Approver => approver.is_none(),
                    Role::System => system.is_none(),
                    Role::Operator | Role::Auditor | Role::Administrator => false,
                };
                if !wanted {
                    continue;
                }
                let key =
                    accounts::create_api_key(&stage.pool, ACTOR, officer_id, "demo", true).await?;
                match officer.role {
                    Role::Approver => approver = Some(key.secret),
                    Role::System => system = Some(key.secret),
                    _ => {
                        submitters.insert(agency.code.clone(), key.secret);
                    }
                }
            }
        }
        let approver = approver.context("demo/agencies.json names no approver")?;
        let system = system.context("demo/agencies.json names no system")?;
        Ok(Self { submitters, approver, system, logins })
    }
}
