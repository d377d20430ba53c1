//! The program is killed with SIGKILL at random moments, then run to its end: everything must be right.
//!
//! `ORDERS_SEED` repeats the moments of an earlier run, which printed it; `ORDERS_KILLS` and `ORDERS_COUNT` say how often,
//! and with how many orders; `ANYBROKER_URL` chooses the broker, which is the embedded one by default. Where the database
//! and the broker are killed too, they are PostgreSQL and NATS.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic)]

mod page;
mod process;
mod random;
#[cfg(feature = "postgres")]
mod servers;

use std::time::Duration;

use process::{Process, Workplace};
use random::Random;

#[test]
fn killed_at_random_moments_it_ends_right() {
    let (kills, orders) = (number("ORDERS_KILLS", 6), number("ORDERS_COUNT", 300));
    let seed = seed();
    let url = std::env::var("ANYBROKER_URL").ok().filter(|url| !url.is_empty());
    let workplace = Workplace::new(url.map(|url| ("ANYBROKER_URL", url)).into_iter().collect(), orders);
    workplace.note(&format!("seed {seed}: ORDERS_SEED={seed} repeats these moments"));
    let mut random = Random(seed);
    let (mut lives, mut at_work) = (0, 0);
    for kill in 1..=kills {
        let mut process = workplace.start();
        let moment = Moment::choose(&mut random, kill, kills, orders);
        moment.wait(&workplace, &mut process);
        assert!(process.kill(), "it ended before it was killed: {}", workplace.said());
        let left = workplace.look();
        let (events, under_way, staged) = (left.events, left.under_way, left.staged);
        let left_over =
            format!("{events} events stored, {under_way} sagas under way, {staged} messages staged");
        workplace.note(&format!("kill {kill} {moment}: {left_over}"));
        lives = left.lives;
        at_work += u64::from(under_way > 0);
    }
    let report = workplace.start().report();
    workplace.note(&format!("run to its end: {report:#}"));

    is_right(&report, orders);
    // That the kills hit a system at work.
    assert_eq!(report["resumed"], lives, "whoever was killed at work was taken over from");
    assert!(lives * 2 >= kills, "only {lives} of {kills} processes had begun to work when they were killed");
    assert!(at_work * 2 >= kills, "only {at_work} of {kills} kills found orders under way");
}

/// What a report must say.
fn is_right(report: &serde_json::Value, orders: u64) {
    assert_eq!(report["wrong"], serde_json::json!([]), "{report:#}");
    assert_eq!((&report["violations"], &report["dead_letters"]), (&0.into(), &0.into()));
    if orders.is_multiple_of(60) {
        let states = serde_json::json!({
            "shipped": orders / 6 * 5, "payment declined": orders / 10, "out of stock": orders / 15,
        });
        assert_eq!(report["states"], states);
    }
}

#[test]
fn what_the_broker_keeps_in_memory_only_is_begun_anew() {
    let workplace = Workplace::new(in_memory(), 300);
    let mut process = workplace.start();
    Moment::Events(200, Duration::ZERO).wait(&workplace, &mut process);
    assert!(process.kill(), "it ended before it was killed: {}", workplace.said());
    let report = workplace.start().report();
    is_right(&report, 300);
    assert_eq!(report["resumed"], 0);
    assert!(workplace.said().contains("starting anew"), "{}", workplace.said());
}

#[test]
fn a_second_process_does_not_work_on_the_same_run() {
    let workplace = Workplace::new(in_memory(), 300);
    let mut first = workplace.start();
    Moment::Events(1, Duration::ZERO).wait(&workplace, &mut first);
    assert_eq!(workplace.start().end().code(), Some(2));
    assert!(workplace.said().contains("another process"), "{}", workplace.said());
    first.report();
}

fn in_memory() -> Vec<(&'static str, String)> {
    vec![("ANYBROKER_URL", "memory://orders".to_owned())]
}

/// When the process is killed.
enum Moment {
    /// That long after its start: while it connects, declares, joins.
    Start(Duration),
    /// That long after so many events were stored.
    Events(u64, Duration),
}

impl Moment {
    /// All over the run; an order has more than four events, so that the last kill comes before the end.
    fn choose(random: &mut Random, kill: u64, kills: u64, orders: u64) -> Self {
        let share = (orders * 4 / kills).max(1);
        match (kill == kills, random.below(4)) {
            (false, 0) => Moment::Start(Duration::from_millis(random.below(500))),
            _ => Moment::Events(
                (kill - 1) * share + random.below(share),
                Duration::from_micros(random.below(20_000)),
            ),
        }
    }

    fn wait(&self, workplace: &Workplace, process: &mut Process) {
        match self {
            Moment::Start(time) => std::thread::sleep(*time),
            Moment::Events(events, time) => {
                workplace.wait_for_events(*events, process);
                std::thread::sleep(*time);
            }
        }
    }
}

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Moment::Start(time) => write!(f, "{time:.1?} after the start"),
            Moment::Events(events, time) => write!(f, "{time:.1?} after {events} events"),
        }
    }
}

fn seed() -> u64 {
    number("ORDERS_SEED", u64::from(std::process::id()) << 32 | u64::from(clock()))
}

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")),
        Err(_) => default,
    }
}

fn clock() -> u32 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_nanos()
}
