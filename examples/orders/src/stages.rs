//! What each service does with an event: its own tables in, what the next one is told out. The inbox brings
//! transactions, retries and duplicates.

use anybroker::{Delivery, Result};
use rusqlite::{OptionalExtension, Transaction, params};

use crate::events::{Fact, FinalState, Finished, OrderStep, Paid, Reserved, STEPS};
use crate::state::{Count, count, database};

/// Payment: charges an order when its last step has come; every tenth card is declined.
pub(crate) fn payment(transaction: &Transaction<'_>, delivery: &Delivery) -> Result<Option<Fact>> {
    let step: OrderStep = delivery.event()?;
    if last_step(transaction, step.order)? + 1 != step.step {
        count(transaction, Count::Violations, 1)?;
    }
    let sql = "INSERT INTO steps (number, last) VALUES (?1, ?2)
               ON CONFLICT (number) DO UPDATE SET last = excluded.last";
    write(transaction, sql, [step.order, step.step])?;
    if step.step < STEPS {
        return Ok(None);
    }
    if step.order % 10 == 3 {
        return finished(step.order, FinalState::PaymentDeclined);
    }
    let sql = "INSERT INTO charges (number, cents) VALUES (?1, ?2)";
    write(transaction, sql, [step.order, step.cents])?;
    Ok(Some(Fact::Paid(Paid { order: step.order, items: step.items })))
}

/// Inventory: sets items aside; large orders of some products find none.
pub(crate) fn inventory(transaction: &Transaction<'_>, delivery: &Delivery) -> Result<Option<Fact>> {
    let paid: Paid = delivery.event()?;
    if paid.items == 4 && paid.order.is_multiple_of(3) {
        return finished(paid.order, FinalState::OutOfStock);
    }
    let sql = "INSERT INTO reservations (number, items) VALUES (?1, ?2)";
    write(transaction, sql, [paid.order, paid.items])?;
    Ok(Some(Fact::Reserved(Reserved { order: paid.order })))
}

/// Shipping: ends the order.
pub(crate) fn shipping(delivery: &Delivery) -> Result<Option<Fact>> {
    let reserved: Reserved = delivery.event()?;
    finished(reserved.order, FinalState::Shipped)
}

/// The office: notes how every order ended.
pub(crate) fn office(transaction: &Transaction<'_>, delivery: &Delivery) -> Result<Option<Fact>> {
    let finished: Finished = delivery.event()?;
    let mut statement = transaction
        .prepare_cached("INSERT INTO finished (number, state) VALUES (?1, ?2)")
        .map_err(database)?;
    statement.execute(params![finished.order, finished.state.as_str()]).map_err(database)?;
    Ok(None)
}

fn finished(order: u32, state: FinalState) -> Result<Option<Fact>> {
    Ok(Some(Fact::Finished(Finished { order, state })))
}

fn last_step(transaction: &Transaction<'_>, order: u32) -> Result<u32> {
    let mut statement =
        transaction.prepare_cached("SELECT last FROM steps WHERE number = ?1").map_err(database)?;
    let last = statement.query_row([order], |row| row.get(0)).optional();
    Ok(last.map_err(database)?.unwrap_or(0))
}

fn write(transaction: &Transaction<'_>, sql: &str, values: [u32; 2]) -> Result<()> {
    transaction.prepare_cached(sql).and_then(|mut s| s.execute(values)).map_err(database).map(drop)
}
