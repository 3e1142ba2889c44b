//! What an approval now would meet: how many devices speak which language, what is being sent before it, and how fast the providers take it.

use sqlx::PgConnection;

use super::StoreError;
use crate::domain::broadcast::Lane;
use crate::domain::device::Provider;
use crate::domain::id::BroadcastId;

/// Active devices of one provider that speak one language.
#[derive(Clone, Debug)]
pub struct Speakers {
    /// By which provider they are reached.
    pub provider: Provider,
    /// BCP 47 primary tag.
    pub language: String,
    /// How many.
    pub devices: i64,
}

/// So few devices are counted when somebody asks: that is a tenth of what a million takes, and who has just imported some sees them.
const FEW: i64 = 100_000;

/// Active devices by provider and language, the most frequent language first: as [counted](recount) last, unless there are few or that was long ago.
pub async fn speakers(conn: &mut PgConnection) -> Result<Vec<Speakers>, StoreError> {
    let counted = sqlx::query!(
        "select provider, language, devices from device_reach where counted_at > clock_timestamp() - interval '10 minutes'
         order by sum(devices) over (partition by language) desc, language, provider"
    )
    .fetch_all(&mut *conn)
    .await?;
    if counted.iter().map(|row| row.devices).sum::<i64>() >= FEW {
        let counted = counted.into_iter();
        return counted.map(|row| speak(row.provider, row.language, row.devices)).collect();
    }
    let rows = sqlx::query!(
        r#"select provider, language, count(*) as "devices!" from device where state = 0 group by provider, language
           order by sum(count(*)) over (partition by language) desc, language, provider"#
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(|row| speak(row.provider, row.language, row.devices)).collect()
}

fn speak(code: i16, language: String, devices: i64) -> Result<Speakers, StoreError> {
    Ok(Speakers { provider: provider(code)?, language, devices })
}

/// Were they counted within so many seconds?
pub async fn is_fresh(conn: &mut PgConnection, seconds: f64) -> Result<bool, StoreError> {
    let fresh = sqlx::query_scalar!(
        r#"select exists (select from device_reach where counted_at > clock_timestamp() - make_interval(secs => $1)) as "fresh!""#,
        seconds
    );
    Ok(fresh.fetch_one(conn).await?)
}

/// Counts all active devices, in the caller's transaction.
pub async fn recount(conn: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!("delete from device_reach").execute(&mut *conn).await?;
    sqlx::query!(
        "insert into device_reach (provider, language, devices, counted_at)
         select provider, language, count(*), clock_timestamp() from device where state = 0 group by 1, 2"
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What a provider has to take before, and how it takes it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Road {
    /// Devices of broadcasts under way that go first.
    pub ahead: i64,
    /// Share of the quota that the provider lets through, 0 to 1; for browsers the least of any push service in use.
    pub share: f64,
    /// Seconds until it takes anything again.
    pub closed_seconds: f64,
}

/// Each provider's, in the order of their numbers, for what takes this lane. A drill has quotas of its own: it meets drills, and nothing else
/// meets them. `besides`: a broadcast that does not stand in its own way.
pub async fn roads(
    conn: &mut PgConnection,
    lane: Lane,
    besides: Option<BroadcastId>,
) -> Result<[Road; 3], StoreError> {
    let mut roads = [Road { share: 1.0, ..Road::default() }; 3];
    let ahead = sqlx::query!(
        r#"select b.provider, sum(b.pending)::bigint as "devices!" from batch b join broadcast c on c.id = b.broadcast_id
           where c.state <> 'completed' and b.state < 2 and not c.paused and c.id is distinct from $2
             and case $1::text when 'emergency' then c.lane = 'emergency' when 'drill' then c.lane = 'drill' else c.lane <> 'drill' end
           group by b.provider"#,
        lane.as_str(),
        besides.map(|id| id.0)
    )
    .fetch_all(&mut *conn)
    .await?;
    for row in ahead {
        roads[provider(row.provider)?.index()].ahead = row.devices;
    }
    let taken = sqlx::query!(
        r#"select split_part(name, ':', case when $2 then 2 else 1 end) as "service!", max(case when closed_until > clock_timestamp() then extract(epoch from closed_until - clock_timestamp())::float8 else 0 end) as "closed!",
                  min(least(1, share + case when share_at = '-infinity' then 1
                      else greatest(0, extract(epoch from clock_timestamp() - share_at)::float8) * $1 end)) as "share!"
           from permit where greatest(next_at, share_at, closed_until) > clock_timestamp() - interval '2 minutes'
             and (name like 'drill:%') = $2
           group by 1"#,
        super::permit::RECOVERY_PER_SECOND,
        lane == Lane::Drill
    )
    .fetch_all(conn)
    .await?;
    for row in taken {
        let found = Provider::ALL.into_iter().find(|provider| provider.as_str() == row.service);
        if let Some(provider) = found {
            let road = &mut roads[provider.index()];
            (road.share, road.closed_seconds) = (row.share, row.closed);
        }
    }
    Ok(roads)
}

fn provider(number: i16) -> Result<Provider, StoreError> {
    Provider::from_code(number)
        .ok_or_else(|| StoreError::inconsistent("device", "provider", number))
}
