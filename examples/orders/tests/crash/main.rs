//! The pipeline is killed with SIGKILL at random moments, then run to its end: everything must be right.
//!
//! `ORDERS_SEED` repeats the moments of an earlier run, which printed it; `ORDERS_KILLS` and `ORDERS_COUNT` say how often,
//! and with how many orders; `ANYBROKER_URL` chooses the broker, which is the embedded one by default.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic)]

mod process;
mod random;

use std::time::Duration;

use process::{Process, Workplace};
use random::Random;

#[test]
fn killed_at_random_moments_it_ends_right() {
    let (kills, orders) = (number("ORDERS_KILLS", 10), number("ORDERS_COUNT", 3_000));
    let seed = number("ORDERS_SEED", u64::from(std::process::id()) << 32 | u64::from(clock()));
    let url = std::env::var("ANYBROKER_URL").ok().filter(|url| !url.is_empty());
    let workplace = Workplace::new(url, orders);
    workplace.note(&format!("seed {seed}: ORDERS_SEED={seed} repeats these moments"));
    let mut random = Random(seed);
    let (mut lives, mut with_messages) = (0, 0);
    for kill in 1..=kills {
        let mut process = workplace.start();
        let moment = Moment::choose(&mut random, kill, kills, orders);
        moment.wait(&workplace, &mut process);
        process.kill();
        let left = workplace.look();
        let (handled, under_way) = (left.handled, left.under_way);
        workplace.note(&format!("kill {kill} {moment}: {handled} messages handled, {under_way} under way"));
        lives = left.lives;
        with_messages += u64::from(left.under_way > 0);
    }
    let report = workplace.start().report();
    workplace.note(&format!("run to its end: {report:#}"));

    assert_eq!(report["wrong"], serde_json::json!([]), "{report:#}");
    assert_eq!(report["violations"], 0);
    assert_eq!(report["dead_letters"], 0);
    // That the kills hit a pipeline at work, and made it do things again.
    assert_eq!(report["resumed"], lives, "whoever was killed at work was taken over from");
    assert!(lives * 2 >= kills, "only {lives} of {kills} processes had begun to work when they were killed");
    assert!(with_messages * 2 >= kills, "only {with_messages} of {kills} kills found messages under way");
    assert!(report["repeated"].as_u64() > Some(0), "nothing came again that was handled before a kill");
    if orders == 3_000 {
        let states = serde_json::json!({ "shipped": 2500, "payment declined": 300, "out of stock": 200 });
        assert_eq!(report["states"], states);
    }
}

#[test]
fn what_the_broker_keeps_in_memory_only_is_begun_anew() {
    let workplace = Workplace::new(Some("memory://orders".to_owned()), 3_000);
    let mut process = workplace.start();
    Moment::Handled(500, Duration::ZERO).wait(&workplace, &mut process);
    process.kill();
    let report = workplace.start().report();
    assert_eq!((&report["wrong"], &report["resumed"]), (&serde_json::json!([]), &0.into()));
    assert!(workplace.said().contains("starting anew"), "{}", workplace.said());
}

#[test]
fn a_second_process_does_not_work_on_the_same_run() {
    let workplace = Workplace::new(Some("memory://orders".to_owned()), 3_000);
    let mut first = workplace.start();
    Moment::Handled(1, Duration::ZERO).wait(&workplace, &mut first);
    assert_eq!(workplace.start().end().code(), Some(2));
    assert!(workplace.said().contains("another process"), "{}", workplace.said());
    first.report();
}

/// When the process is killed.
enum Moment {
    /// That long after its start: while it connects, declares, joins.
    Start(Duration),
    /// That long after the services have handled so many messages.
    Handled(u64, Duration),
}

impl Moment {
    /// All over the run; an order has more than five messages, so that the last kill comes before the end.
    fn choose(random: &mut Random, kill: u64, kills: u64, orders: u64) -> Self {
        let share = (orders * 9 / 2 / kills).max(1);
        match (kill == kills, random.below(4)) {
            (false, 0) => Moment::Start(Duration::from_millis(random.below(500))),
            _ => Moment::Handled(
                (kill - 1) * share + random.below(share),
                Duration::from_micros(random.below(20_000)),
            ),
        }
    }

    fn wait(&self, workplace: &Workplace, process: &mut Process) {
        match self {
            Moment::Start(time) => std::thread::sleep(*time),
            Moment::Handled(messages, time) => {
                workplace.wait_for_messages(*messages, process);
                std::thread::sleep(*time);
            }
        }
    }
}

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Moment::Start(time) => write!(f, "{time:.1?} after the start"),
            Moment::Handled(messages, time) => write!(f, "{time:.1?} after {messages} messages"),
        }
    }
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
