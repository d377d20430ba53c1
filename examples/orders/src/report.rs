//! How the run ended, against how it must have ended by the order numbers alone.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anybroker::Result;
use rusqlite::Transaction;
use serde::Serialize;

use crate::events::{FinalState, STEPS};
use crate::shop::{items, price};
use crate::state::{Count, Run, counted, database};

/// The report, whose fields are those of `--format json`.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    run: String,
    orders: u32,
    /// How many orders ended in each state.
    states: BTreeMap<&'static str, u32>,
    charged_cents: u64,
    reserved_items: u32,
    delivered: u32,
    retried: u32,
    redelivered: u32,
    injected: u32,
    /// Messages of the shop of which the broker said that it had them already; some brokers recognise them and do not say.
    recognised: u32,
    suppressed: u32,
    /// Those of the suppressed ones that had been handled before a crash.
    repeated: u32,
    violations: u32,
    dead_letters: u32,
    resumed: u32,
    messages_a_second: u32,
    /// What is not as it must be; nothing else is an error.
    wrong: Vec<String>,
}

impl Report {
    /// Reads what the services did; `delivered` messages took this process `time`.
    pub(crate) fn read(t: &Transaction<'_>, run: &Run, delivered: u32, time: Duration) -> Result<Self> {
        let done = Done::read(t)?;
        let mut report = Report {
            run: run.id.clone(),
            orders: run.orders,
            states: done.states(),
            charged_cents: done.charges.values().flatten().copied().map(u64::from).sum(),
            reserved_items: done.reservations.values().flatten().sum(),
            delivered: counted(t, Count::Delivered)?,
            retried: counted(t, Count::Retried)?,
            redelivered: counted(t, Count::Redelivered)?,
            injected: counted(t, Count::Injected)?,
            recognised: counted(t, Count::Recognised)?,
            suppressed: counted(t, Count::Suppressed)?,
            repeated: counted(t, Count::Repeated)?,
            violations: counted(t, Count::Violations)?,
            dead_letters: counted(t, Count::DeadLetters)?,
            resumed: run.resumed,
            messages_a_second: (f64::from(delivered) / time.as_secs_f64()) as u32,
            wrong: done.wrong(run.orders),
        };
        for (count, what) in
            [(report.violations, "steps out of order"), (report.dead_letters, "dead letters")]
        {
            if count > 0 {
                report.wrong.push(format!("{count} {what}"));
            }
        }
        Ok(report)
    }

    pub(crate) fn is_right(&self) -> bool {
        self.wrong.is_empty()
    }

    pub(crate) fn json(&self) -> String {
        serde_json::json!(self).to_string()
    }
}

/// How many entries the office has made.
pub(crate) fn count_ended(transaction: &Transaction<'_>) -> Result<u32> {
    let mut statement = transaction.prepare_cached("SELECT count(*) FROM finished").map_err(database)?;
    statement.query_row([], |row| row.get(0)).map_err(database)
}

/// A service's entries by order: right is one, or none.
type Entries<T> = BTreeMap<u32, Vec<T>>;

/// What the services have done.
struct Done {
    steps: Entries<u32>,
    charges: Entries<u32>,
    reservations: Entries<u32>,
    finished: Entries<String>,
}

impl Done {
    fn read(transaction: &Transaction<'_>) -> Result<Self> {
        Ok(Done {
            steps: entries(transaction, "SELECT number, last FROM steps")?,
            charges: entries(transaction, "SELECT number, cents FROM charges")?,
            reservations: entries(transaction, "SELECT number, items FROM reservations")?,
            finished: entries(transaction, "SELECT number, state FROM finished")?,
        })
    }

    fn states(&self) -> BTreeMap<&'static str, u32> {
        let all = [FinalState::Shipped, FinalState::PaymentDeclined, FinalState::OutOfStock];
        let count = |name| self.finished.values().flatten().filter(|state| *state == name).count() as u32;
        all.into_iter().map(|state| (state.as_str(), count(state.as_str()))).collect()
    }

    /// Every order against what it must have come to, and nothing but the orders.
    fn wrong(&self, orders: u32) -> Vec<String> {
        let mut wrong = Wrong::default();
        for order in 0..orders {
            let due = Due::of(order);
            wrong.compare("steps", order, self.steps.get(&order), &[STEPS]);
            wrong.compare("charges", order, self.charges.get(&order), &due.charges);
            wrong.compare("reservations", order, self.reservations.get(&order), &due.reservations);
            wrong.compare("final states", order, self.finished.get(&order), &[due.state.as_str().to_owned()]);
        }
        let known = |order: &&u32| **order >= orders;
        wrong.strangers(self.finished.keys().filter(known).count());
        wrong.texts()
    }
}

fn entries<T: rusqlite::types::FromSql>(transaction: &Transaction<'_>, sql: &str) -> Result<Entries<T>> {
    let mut statement = transaction.prepare(sql).map_err(database)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(database)?;
    let mut entries = Entries::new();
    for row in rows {
        let (order, entry) = row.map_err(database)?;
        entries.entry(order).or_insert_with(Vec::new).push(entry);
    }
    Ok(entries)
}

/// What an order must come to, worked out from its number and not from what any service said.
struct Due {
    state: FinalState,
    charges: Vec<u32>,
    reservations: Vec<u32>,
}

impl Due {
    fn of(order: u32) -> Self {
        let state = match (order % 10, order % 12) {
            (3, _) => FinalState::PaymentDeclined,
            (_, 3) => FinalState::OutOfStock,
            _ => FinalState::Shipped,
        };
        let when = |holds: bool, value: u32| if holds { vec![value] } else { Vec::new() };
        Due {
            state,
            charges: when(state != FinalState::PaymentDeclined, price(order)),
            reservations: when(state == FinalState::Shipped, items(order)),
        }
    }
}

/// What differs, by what it is: how often, and the first of it.
#[derive(Default)]
struct Wrong(BTreeMap<&'static str, (u32, String)>);

impl Wrong {
    fn compare<T: PartialEq + fmt::Debug>(
        &mut self,
        what: &'static str,
        order: u32,
        found: Option<&Vec<T>>,
        due: &[T],
    ) {
        let found = found.map_or(&[][..], Vec::as_slice);
        if found != due {
            let first = || (0, format!("order {order}: {found:?} where {due:?} is right"));
            self.0.entry(what).or_insert_with(first).0 += 1;
        }
    }

    fn strangers(&mut self, count: usize) {
        if count > 0 {
            self.0.insert("strangers", (count as u32, "orders that nobody placed".to_owned()));
        }
    }

    fn texts(self) -> Vec<String> {
        self.0
            .into_iter()
            .map(|(what, (count, first))| format!("{what}: {count} wrong, first {first}"))
            .collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<36}{:>10}", "orders", self.orders)?;
        for (state, count) in &self.states {
            writeln!(f, "  {state:<34}{count:>10}")?;
        }
        for (name, count) in [
            ("cents charged", self.charged_cents),
            ("items set aside", self.reserved_items.into()),
            ("messages delivered", self.delivered.into()),
            ("handlers failed and retried", self.retried.into()),
            ("redeliveries", self.redelivered.into()),
            ("duplicates injected", self.injected.into()),
            ("  of them reported by the broker", self.recognised.into()),
            ("duplicates suppressed", self.suppressed.into()),
            ("  of them handled before a crash", self.repeated.into()),
            ("order violations", self.violations.into()),
            ("dead letters", self.dead_letters.into()),
            ("times cut off and resumed", self.resumed.into()),
            ("messages a second", self.messages_a_second.into()),
        ] {
            writeln!(f, "{name:<36}{count:>10}")?;
        }
        for wrong in &self.wrong {
            writeln!(f, "WRONG: {wrong}")?;
        }
        write!(f, "{}", if self.is_right() { "everything is right" } else { "something is wrong" })
    }
}
