//! `loa accounts …`: agencies, officers, their passwords and keys. Every change is in the audit trail, with who ran the command.

use std::io::{BufRead as _, IsTerminal as _};
use std::os::unix::fs::MetadataExt as _;

use anyhow::{Context as _, bail};
use clap::{Subcommand, ValueEnum};
use sqlx::PgPool;
use uuid::Uuid;

use super::{command, runtime};
use crate::config::{self, Config};
use crate::domain::account::Role;
use crate::domain::authority::{Client, NewAccount};
use crate::identity::accounts;

/// What is done about accounts.
#[derive(Subcommand)]
pub enum Accounts {
    /// Creates an agency, or renames the one with this code.
    Agency {
        /// The official code.
        #[arg(long)]
        code: String,
        /// The name.
        #[arg(long)]
        name: String,
        /// It is the focal unit (Sở KH&CN): its officers may approve.
        #[arg(long)]
        focal: bool,
    },
    /// Creates an officer's account.
    Officer {
        /// The agency's code.
        #[arg(long)]
        agency: String,
        /// As shown to colleagues.
        #[arg(long)]
        name: String,
        /// What the person types to sign in.
        #[arg(long)]
        login: String,
        /// Whose it is, by the province's directory: a staff number, or the subject of single sign-on. Two accounts of one person are one
        /// person, who never approves what either wrote.
        #[arg(long)]
        person: String,
        /// What the account is for.
        #[arg(long, value_enum)]
        role: RoleName,
    },
    /// Says whose an account is of which nobody has said it, as those made before 0030.
    Person {
        /// Which account.
        #[arg(long)]
        login: String,
        /// A staff number, or the subject of single sign-on.
        #[arg(long)]
        person: String,
    },
    /// Sets a password, one line of standard input: 12 characters or more. A terminal shows it; a pipe or a file does not.
    Password {
        /// Whose.
        #[arg(long)]
        login: String,
    },
    /// Invites a person to register a passkey and prints the code, once; what the account was entered with before ends when it is used. Once
    /// two administrators have passkeys, two of them do this in the console.
    Invite {
        /// Whom.
        #[arg(long)]
        login: String,
    },
    /// Makes an API key and prints it, once.
    Key {
        /// Whose.
        #[arg(long)]
        login: String,
        /// What it is for.
        #[arg(long)]
        label: String,
    },
    /// Revokes an API key.
    RevokeKey {
        /// The id printed with it.
        id: Uuid,
    },
    /// Lets a RabbitMQ user act as nobody any more.
    RemoveBrokerUser {
        /// RabbitMQ's user name.
        #[arg(long)]
        user_id: String,
    },
    /// Lets a client of the issuer of access tokens (bearer.issuer) act as an officer.
    Client {
        /// `client_id` in its tokens.
        #[arg(long)]
        client_id: String,
        /// `sub` in its tokens. Not given: the client's id.
        #[arg(long)]
        subject: Option<String>,
        /// As whom.
        #[arg(long)]
        login: String,
    },
    /// Lists the clients that act as somebody.
    Clients,
    /// Lets a client act as nobody any more.
    UnlinkClient {
        /// The id that `clients` prints, or the trail.
        id: Uuid,
    },
    /// Closes an account: no signing in, no keys.
    Disable {
        /// Whose.
        #[arg(long)]
        login: String,
    },
    /// Lets a RabbitMQ user act as an officer.
    BrokerUser {
        /// RabbitMQ's user name, which it vouches for.
        #[arg(long)]
        user_id: String,
        /// As whom.
        #[arg(long)]
        login: String,
    },
}

/// A role as typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum RoleName {
    /// Writes and submits.
    Submitter,
    /// Decides, for the focal unit.
    Approver,
    /// Keeps the service running.
    Operator,
    /// Reads everything.
    Auditor,
    /// Manages accounts.
    Administrator,
    /// A neighbouring system.
    System,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Submitter => Self::Submitter,
            RoleName::Approver => Self::Approver,
            RoleName::Operator => Self::Operator,
            RoleName::Auditor => Self::Auditor,
            RoleName::Administrator => Self::Administrator,
            RoleName::System => Self::System,
        }
    }
}

/// Does it.
pub fn run(config: &Config, command: Accounts) -> anyhow::Result<()> {
    runtime()?.block_on(async {
        let pool = command::pool(&config.database).await?;
        act(&pool, &operator(), config.bearer.issuer.as_deref(), command).await
    })
}

/// Who runs this command, for the audit trail.
pub(super) fn operator() -> String {
    let login = std::fs::read_to_string("/proc/self/loginuid").unwrap_or_default();
    // The owner of this process's entry is its effective user.
    let effective = std::fs::metadata("/proc/self").map(|entry| entry.uid()).ok();
    actor(login.trim(), config::sudo_user().as_deref(), effective)
}

/// Who runs the command: the person whose sign-in the kernel remembers; without one, as in a service or a container, whom sudo names;
/// without sudo, as whom it runs.
fn actor(login_uid: &str, sudo_user: Option<&str>, effective: Option<u32>) -> String {
    match (login_uid.parse::<u32>(), sudo_user, effective) {
        (Ok(uid), _, _) if uid != u32::MAX => format!("command (uid {uid})"),
        (_, Some(name), _) => {
            let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
            format!("command (user {name}, by sudo)")
        }
        (_, None, Some(uid)) => format!("command (running as uid {uid})"),
        (_, None, None) => "command".to_owned(),
    }
}

async fn act(
    pool: &PgPool,
    actor: &str,
    token_issuer: Option<&str>,
    command: Accounts,
) -> anyhow::Result<()> {
    match command {
        Accounts::Agency { code, name, focal } => {
            let id = accounts::upsert_agency(pool, actor, &code, &name, focal).await?;
            println!("{id}");
        }
        Accounts::Officer { agency, name, login, person, role } => {
            let agency = accounts::agency_by_code(pool, &agency).await?;
            let account = NewAccount { agency, name, login, person, role: role.into() };
            println!("{}", accounts::create_officer(pool, actor, account, false).await?);
        }
        Accounts::Person { login, person } => {
            let officer = accounts::officer_by_login(pool, &login).await?;
            if !accounts::name_person(pool, actor, officer, &person).await? {
                bail!("whose account this is has been said already; close it and open another one");
            }
            println!("said");
        }
        Accounts::Password { login } => {
            let officer = accounts::officer_by_login(pool, &login).await?;
            let mut line = String::new();
            if std::io::stdin().is_terminal() {
                eprint!("new password of {login}, 12 characters or more, shown as you type: ");
            }
            std::io::stdin().lock().read_line(&mut line).context("standard input")?;
            let password = line.trim_end_matches(['\r', '\n']);
            accounts::set_password(pool, actor, officer, password).await?;
            println!("set; open sessions have ended");
        }
        Accounts::Invite { login } => {
            let officer = accounts::officer_by_login(pool, &login).await?;
            let (first, second) = accounts::invite(pool, actor, officer).await?;
            eprintln!("for 72 hours, at /console/invitation; the code is shown this once:");
            println!("{first}\n{second}");
        }
        Accounts::Key { login, label } => {
            let officer = accounts::officer_by_login(pool, &login).await?;
            let key = accounts::create_api_key(pool, actor, officer, &label, false).await?;
            eprintln!("key {}; it is shown this once:", key.id);
            println!("{}", key.secret);
        }
        Accounts::RevokeKey { id } => {
            if !accounts::revoke_api_key(pool, actor, id).await? {
                bail!("no such key, or it is revoked already");
            }
            println!("revoked");
        }
        Accounts::RemoveBrokerUser { user_id } => {
            if !accounts::remove_broker_user(pool, actor, &user_id).await? {
                bail!("no such RabbitMQ user acts as anybody");
            }
            println!("removed");
        }
        Accounts::Client { client_id, subject, login } => {
            let issuer = token_issuer.context("bearer.issuer is not set: no tokens are taken")?;
            let officer = accounts::officer_by_login(pool, &login).await?;
            let subject = subject.unwrap_or_else(|| client_id.clone());
            let client = Client { issuer: issuer.to_owned(), client_id, subject };
            accounts::link_client(pool, actor, officer, client).await?;
            println!("linked");
        }
        Accounts::Clients => {
            for (line, login) in accounts::clients(pool).await? {
                let Client { issuer, client_id, subject } = line.client;
                println!("{} {login} {issuer} {client_id} {subject}", line.id);
            }
        }
        Accounts::UnlinkClient { id } => {
            if !accounts::unlink_client(pool, actor, id).await? {
                bail!("no such client acts as anybody");
            }
            println!("unlinked");
        }
        Accounts::Disable { login } => {
            let officer = accounts::officer_by_login(pool, &login).await?;
            if !accounts::disable_officer(pool, actor, officer).await? {
                bail!("the account is closed already");
            }
            println!("closed");
        }
        Accounts::BrokerUser { user_id, login } => {
            let officer = accounts::officer_by_login(pool, &login).await?;
            accounts::set_broker_user(pool, actor, &user_id, officer).await?;
            println!("{user_id} acts as {login}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::actor;

    #[test]
    fn the_audit_trail_names_a_person_where_the_machine_knows_one() {
        let unset = u32::MAX.to_string();
        assert_eq!(actor("1000", Some("hung"), Some(0)), "command (uid 1000)");
        assert_eq!(actor(&unset, Some("hung"), Some(0)), "command (user hung, by sudo)");
        assert_eq!(actor(&unset, None, Some(10_001)), "command (running as uid 10001)");
        assert_eq!(actor("", None, Some(0)), "command (running as uid 0)");
    }
}
