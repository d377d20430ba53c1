//! The schema in which everybody works, with sixteen connections each.

use std::str::FromStr;

use crate::Result;

/// Connections of each contender.
const CONNECTIONS: u32 = 16;

pub(crate) const SCHEMA: &str = "bench";

/// Makes the schema anew.
pub(crate) async fn clear(url: &str) -> Result<()> {
    drop(url).await?;
    run(url, "create schema bench").await
}

pub(crate) async fn drop(url: &str) -> Result<()> {
    run(url, "drop schema if exists bench cascade").await
}

async fn run(url: &str, sql: &'static str) -> Result<()> {
    let pool = ours(url).await?;
    sqlx::query(sql).execute(&pool).await?;
    pool.close().await;
    Ok(())
}

/// Connections for hand-written code.
pub(crate) async fn ours(url: &str) -> Result<sqlx::PgPool> {
    let options = sqlx::postgres::PgConnectOptions::from_str(url)?.options([("search_path", SCHEMA)]);
    Ok(sqlx::postgres::PgPoolOptions::new().max_connections(CONNECTIONS).connect_with(options).await?)
}

/// Connections for other libraries.
pub(crate) async fn of_peers(url: &str) -> Result<sqlx_of_peers::PgPool> {
    let options =
        sqlx_of_peers::postgres::PgConnectOptions::from_str(url)?.options([("search_path", SCHEMA)]);
    let pool = sqlx_of_peers::postgres::PgPoolOptions::new().max_connections(CONNECTIONS);
    Ok(pool.connect_with(options).await?)
}
