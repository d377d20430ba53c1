//! A read model: in which state each order is. The page shows it.

use anybroker::async_trait;
use anybroker::patterns::event_store::{Connection, Filter, Recorded};
use anybroker::patterns::projection::{BoxError, Projection, Tables};

use crate::database::{Database, Value};

/// The projection's name.
pub(crate) const NAME: &str = "orders-by-state";
/// Its table, as readers call it.
const TABLE: &str = "order_states";

pub(crate) struct OrdersByState<D>(pub(crate) D);

#[async_trait]
impl<D: Database> Projection<D> for OrdersByState<D> {
    fn name(&self) -> &str {
        NAME
    }

    fn version(&self) -> u32 {
        1
    }

    fn tables(&self) -> &[&str] {
        &[TABLE]
    }

    fn filter(&self) -> Filter {
        Filter::all().in_streams("order-")
    }

    async fn create(&self, connection: &mut Connection<D>, tables: &Tables) -> Result<(), BoxError> {
        let table = tables.table(TABLE);
        let sql = format!("create table {table} (stream text primary key, state text not null)");
        self.0.change(connection, &sql, &[]).await?;
        Ok(())
    }

    async fn apply(
        &self,
        connection: &mut Connection<D>,
        tables: &Tables,
        event: &Recorded,
    ) -> Result<(), BoxError> {
        let table = tables.table(TABLE);
        let sql = format!(
            "insert into {table} (stream, state) values ($1, $2)
             on conflict (stream) do update set state = excluded.state"
        );
        let state = event.event_type.trim_start_matches("order.");
        let values = [Value::Text(event.stream.clone()), Value::Text(state.to_owned())];
        self.0.change(connection, &sql, &values).await?;
        Ok(())
    }
}
