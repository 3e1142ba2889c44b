//! Does this installation refuse what production must refuse? The configuration checks itself; this looks into the database.

use anyhow::ensure;
use sqlx::PgPool;

use crate::config::{Config, Mode};
use crate::identity::accounts;

/// Fails when production's database holds accounts or keys that the demo made.
pub async fn demo_accounts(config: &Config, pool: &PgPool) -> anyhow::Result<()> {
    if config.mode == Mode::Demo {
        return Ok(());
    }
    let traces = accounts::demo_traces(pool).await?;
    ensure!(
        traces.is_empty(),
        "mode: is \"production\", but the database holds demo accounts or keys ({}); disable them, or use a database of its own",
        traces.join(", ")
    );
    Ok(())
}
