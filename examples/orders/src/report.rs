//! How the run ended, against how it must have ended by the order numbers alone.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anybroker::Result;
use anybroker::patterns::event_store::EventStore;
use anybroker::patterns::saga::{Filter, SagaAdmin, State};
use serde::Serialize;

use crate::database::Database;
use crate::due::Due;
use crate::messages::FinalState;
use crate::run::Run;

/// Rows of one reading.
const PAGE: u32 = 1_000;

/// The report, whose fields are those of `--format json`.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    run: String,
    orders: u32,
    /// How many orders ended in each state.
    states: BTreeMap<&'static str, u32>,
    events: u64,
    charged_cents: u64,
    refunded_cents: u64,
    shipped_items: u64,
    delivered: i64,
    redelivered: i64,
    retried: i64,
    doubled: u32,
    suppressed: i64,
    violations: i64,
    dead_letters: u64,
    resumed: u32,
    orders_a_second: f64,
    messages_a_second: f64,
    /// What is not as it must be; nothing else is an error.
    wrong: Vec<String>,
}

impl Report {
    /// Reads what the services did; `ended` orders took this process `time`.
    pub(crate) async fn read<D: Database>(
        database: &D,
        run: &Run,
        ended: u32,
        time: Duration,
    ) -> Result<Self> {
        let mut report = Report { run: run.id.clone(), orders: run.orders, ..Report::default() };
        let mut wrong = Wrong::default();
        report.compare_events(database, &mut wrong).await?;
        report.compare_sagas(database, &mut wrong).await?;
        report.compare_news(database, &mut wrong).await?;
        report.compare_read_model(database, &mut wrong).await?;
        report.count(database).await?;
        (report.resumed, report.dead_letters) = (run.resumed, run.dead_letters);
        let rate = |count: f64| (count / time.as_secs_f64() * 10.0).round() / 10.0;
        report.orders_a_second = rate(f64::from(ended));
        report.messages_a_second = rate(report.delivered as f64 * f64::from(ended) / f64::from(run.orders));
        report.wrong = wrong.texts();
        for (count, what) in
            [(report.violations, "news out of order"), (run.dead_letters as i64, "dead letters")]
        {
            if count > 0 {
                report.wrong.push(format!("{count} {what}"));
            }
        }
        Ok(report)
    }

    /// Every stream, event by event: nothing is missing, twice, or in another order.
    async fn compare_events<D: Database>(&mut self, database: &D, wrong: &mut Wrong) -> Result<()> {
        let store = EventStore::open(database.clone()).await?;
        let mut due_cents = 0;
        for order in 0..self.orders {
            let due = Due::of(order);
            for (stream, due) in [("order", &due.order), ("payment", &due.payment), ("stock", &due.stock)] {
                let events = store.read(&format!("{stream}-{order}"), 1, 100).await?.events;
                self.events += events.len() as u64;
                let found = events.iter().map(|event| {
                    let data = String::from_utf8_lossy(&event.data);
                    format!("{} {data}", event.event_type)
                });
                wrong.compare(stream, order, &found.collect::<Vec<_>>(), due);
                for event in &events {
                    self.charged_cents += amount(event, "payment.charged", "cents")?;
                    self.refunded_cents += amount(event, "payment.refunded", "cents")?;
                    self.shipped_items += amount(event, "stock.reserved", "items")?;
                }
            }
            due_cents += due.earned;
        }
        if self.charged_cents - self.refunded_cents != due_cents {
            let kept = self.charged_cents - self.refunded_cents;
            wrong.note("money", format!("{kept} cents were kept, and what was shipped costs {due_cents}"));
        }
        let all = database.numbers("select count(*) from {events}").await?;
        if all != [self.events as i64] {
            wrong.note("events", format!("{all:?} are stored, and {} are of orders", self.events));
        }
        Ok(())
    }

    async fn compare_sagas<D: Database>(&mut self, database: &D, wrong: &mut Wrong) -> Result<()> {
        let admin = SagaAdmin::open(database.clone()).await?;
        let (mut filter, mut count) = (Filter::default(), 0);
        loop {
            let page = admin.list(&filter, PAGE).await?;
            let Some(last) = page.last() else { break };
            filter.after = Some((last.saga.clone(), last.id.clone()));
            for saga in page {
                count += 1;
                let order = saga.id.trim_start_matches("order-").parse().unwrap_or(u32::MAX);
                let due = match Due::of(order).state {
                    FinalState::Shipped => State::Completed,
                    FinalState::PaymentDeclined | FinalState::OutOfStock => State::Compensated,
                };
                wrong.compare("sagas", order, &[saga.state], &[due]);
            }
        }
        if count != self.orders {
            wrong.note("sagas", format!("there are {count}"));
        }
        Ok(())
    }

    /// What customers were told.
    async fn compare_news<D: Database>(&mut self, database: &D, wrong: &mut Wrong) -> Result<()> {
        let told = database.texts("select state from {told} order by number").await?;
        let versions = database.numbers("select number, version from {told} order by number").await?;
        for state in FinalState::ALL.map(FinalState::as_str) {
            self.states.insert(state, told.iter().filter(|told| *told == state).count() as u32);
        }
        let found: BTreeMap<u32, (String, i64)> =
            versions.chunks(2).zip(told).map(|(row, state)| (row[0] as u32, (state, row[1]))).collect();
        for order in 0..self.orders.max(found.len() as u32) {
            let due = Due::of(order);
            let due = (due.state.as_str().to_owned(), due.order.len() as i64);
            wrong.compare("news", order, &found.get(&order).into_iter().collect::<Vec<_>>(), &[&due]);
        }
        Ok(())
    }

    /// The projection.
    async fn compare_read_model<D: Database>(&self, database: &D, wrong: &mut Wrong) -> Result<()> {
        let sql = "select (select count(*) from {order_states} where state = 'shipped'),
            (select count(*) from {order_states} where state = 'cancelled'), (select count(*) from {order_states})";
        let shipped =
            (0..self.orders).filter(|order| Due::of(*order).state == FinalState::Shipped).count() as i64;
        let (found, all) = (database.numbers(sql).await?, i64::from(self.orders));
        if found != [shipped, all - shipped, all] {
            wrong.note("read model", format!("it shows {found:?} shipped, cancelled and in all"));
        }
        Ok(())
    }

    async fn count<D: Database>(&mut self, database: &D) -> Result<()> {
        let sum = |column: &str| format!("cast(coalesce(sum({column}), 0) as bigint)");
        let columns = ["delivered", "redelivered", "failed", "suppressed"].map(sum).join(", ");
        let counts = database.numbers(&format!("select {columns} from {{batches}}")).await?;
        if let [delivered, redelivered, failed, suppressed] = counts[..] {
            (self.delivered, self.redelivered) = (delivered, redelivered);
            (self.retried, self.suppressed) = (failed, suppressed);
        }
        let violations = format!("select {} from {{told}}", sum("violations"));
        self.violations = database.numbers(&violations).await?.into_iter().sum();
        self.doubled = (0..self.orders).map(|order| Due::of(order).doubled).sum();
        Ok(())
    }

    pub(crate) fn is_right(&self) -> bool {
        self.wrong.is_empty()
    }

    pub(crate) fn json(&self) -> String {
        serde_json::json!(self).to_string()
    }
}

/// A number of an event, if it is of the type.
fn amount(event: &anybroker::patterns::event_store::Recorded, of: &str, field: &str) -> Result<u64> {
    if event.event_type != of {
        return Ok(0);
    }
    Ok(event.json::<serde_json::Value>()?[field].as_u64().unwrap_or(0))
}

/// What differs, by what it is: how often, and the first of it.
#[derive(Default)]
struct Wrong(BTreeMap<&'static str, (u32, String)>);

impl Wrong {
    fn compare<T: PartialEq + fmt::Debug>(&mut self, what: &'static str, order: u32, found: &[T], due: &[T]) {
        if found != due {
            self.note(what, format!("order {order}: {found:?} where {due:?} is right"));
        }
    }

    fn note(&mut self, what: &'static str, text: String) {
        self.0.entry(what).or_insert((0, text)).0 += 1;
    }

    fn texts(self) -> Vec<String> {
        let text = |(what, (count, first))| format!("{what}: {count} wrong, first {first}");
        self.0.into_iter().map(text).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<36}{:>10}", "orders", self.orders)?;
        for (state, count) in &self.states {
            writeln!(f, "  {state:<34}{count:>10}")?;
        }
        for (name, count) in [
            ("events stored", self.events as i64),
            ("cents charged", self.charged_cents as i64),
            ("cents given back", self.refunded_cents as i64),
            ("items shipped", self.shipped_items as i64),
            ("messages delivered", self.delivered),
            ("handlers failed and retried", self.retried),
            ("redeliveries", self.redelivered),
            ("messages published twice", self.doubled.into()),
            ("duplicates suppressed", self.suppressed),
            ("order violations", self.violations),
            ("dead letters", self.dead_letters as i64),
            ("times cut off and resumed", self.resumed.into()),
        ] {
            writeln!(f, "{name:<36}{count:>10}")?;
        }
        writeln!(f, "{:<36}{:>10}", "orders a second", self.orders_a_second)?;
        for wrong in &self.wrong {
            writeln!(f, "WRONG: {wrong}")?;
        }
        write!(f, "{}", if self.is_right() { "everything is right" } else { "something is wrong" })
    }
}
