//! The shop: places the orders. An order is placed when its saga is started.

use anybroker::Result;
use anybroker::patterns::saga::Saga;

use crate::database::{Database, commit};
use crate::fulfilment::NewOrder;
use crate::messages::order_id;
use crate::patience::Patience;
use crate::run::Run;

/// Orders that are placed in one transaction.
const AT_ONCE: u32 = 50;

/// Goes on after the last order that was placed.
pub(crate) async fn open<D: Database>(database: D, saga: Saga<NewOrder, D>, mut run: Run) -> Result<()> {
    while run.placed < run.orders {
        let first = run.placed;
        run.placed = run.orders.min(first + AT_ONCE);
        let patience = Patience::begin();
        while let Err(error) = place(&database, &saga, first, &run).await {
            patience.bear(error).await?;
        }
    }
    Ok(())
}

/// Starts the sagas and notes how many were placed, in one transaction. Done again, it changes nothing.
async fn place<D: Database>(database: &D, saga: &Saga<NewOrder, D>, first: u32, run: &Run) -> Result<()> {
    let mut transaction = database.writing().await?;
    for number in first..run.placed {
        let order = NewOrder { number, cents: price(number), items: items(number) };
        saga.start(&mut transaction, &order_id(number), &order).await?;
    }
    run.save_in(database, &mut transaction).await?;
    commit::<D>(transaction).await
}

/// What an order costs.
pub(crate) fn price(order: u32) -> u32 {
    100 + order % 97 * 50
}

/// How many items are in it.
pub(crate) fn items(order: u32) -> u32 {
    1 + order % 4
}
