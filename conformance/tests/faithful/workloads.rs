//! The same random workloads on a real broker and on its simulation, both held to what the simulation promises. What is seen
//! of the real one must be seen of the simulation too, under one adversary or another.

use std::sync::{Arc, Mutex};
use std::thread;

use anybroker::Guarantees;
use anybroker_conformance::cases::{Context, Disturbs};
use anybroker_conformance::faithful::{Sights, sights};
use anybroker_conformance::history::read;
use anybroker_conformance::run::{Histories, Options};
use anybroker_conformance::subject::Subject;
use anybroker_conformance::workload::{Shape, Workload, judge, possible};

use crate::kinds::Pair;
use crate::reached::now;
use crate::scene::mended;

/// The workloads.
const SEEDS: [u64; 2] = [1, 2];
/// How many adversaries the simulation has each of them with, at most; fewer once all has been seen.
const ADVERSARIES: u64 = 60;
/// On so many threads.
const THREADS: u64 = 2;

/// Holds both to the same promises, and compares what was seen.
pub(crate) fn compare(pair: &Pair) -> Result<(), String> {
    if let Some(reason) = &pair.real.excluded {
        println!("not run: {}::workloads: {reason}", pair.name);
        return Ok(());
    }
    if let Some(missing) = &pair.real.missing {
        return Err(missing.clone());
    }
    let promised = now(pair.simulated("promises", None).guarantees()).map_err(|error| error.to_string())?;
    let (workloads, real) = on_the_real_one(&pair.real, &promised)?;
    let simulated = simulated(pair, &workloads, &promised, &real)?;
    println!("{}: real {}; simulated {}", pair.name, text(&real), text(&simulated));
    let never: Vec<_> =
        real.keys().filter(|seen| !simulated.contains_key(seen)).map(|seen| seen.as_str()).collect();
    if never.is_empty() { Ok(()) } else { Err(format!("the simulation never shows: {}", never.join("; "))) }
}

fn on_the_real_one(subject: &Subject, promised: &Guarantees) -> Result<(Vec<Workload>, Sights), String> {
    let turn = subject.turn(Disturbs::Broker);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let ran = runtime.block_on(async {
        let context = subject.context(&Options::default(), Histories::default());
        let possible = possible(&context).await.map_err(|error| error.to_string())?;
        let workloads = SEEDS.map(|seed| Shape::broken(possible).workload(seed)).to_vec();
        let mut seen = Sights::new();
        for workload in &workloads {
            add(&mut seen, &run(subject, workload, promised).await?);
        }
        Ok((workloads, seen))
    });
    let ran = ran.or_else(|why| runtime.block_on(mended(subject, why)));
    drop(turn);
    ran
}

/// Tries adversaries until everything was seen that is looked for.
fn simulated(
    pair: &Pair,
    workloads: &[Workload],
    promised: &Guarantees,
    real: &Sights,
) -> Result<Sights, String> {
    let seen = Arc::new(Mutex::new(Sights::new()));
    let missing = |seen: &Sights| real.keys().any(|kind| !seen.contains_key(kind));
    thread::scope(|scope| {
        let each = |thread: u64| {
            let seen = seen.clone();
            move || {
                for adversary in (thread..ADVERSARIES).step_by(THREADS as usize) {
                    if adversary >= LEAST && !missing(&seen.lock().unwrap()) {
                        break;
                    }
                    let more = under(pair, adversary, workloads, promised)?;
                    add(&mut seen.lock().unwrap(), &more);
                }
                Ok::<(), String>(())
            }
        };
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(each(thread))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap())
    })?;
    let seen = seen.lock().unwrap().clone();
    Ok(seen)
}

/// So many adversaries there are in any case.
const LEAST: u64 = 4;

/// In virtual time.
fn under(
    pair: &Pair,
    adversary: u64,
    workloads: &[Workload],
    promised: &Guarantees,
) -> Result<Sights, String> {
    let mut seen = Sights::new();
    for (number, workload) in workloads.iter().enumerate() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        let subject =
            pair.simulated(&format!("workload-{}-{adversary}-{number}", pair.name), Some(adversary));
        add(&mut seen, &runtime.unwrap().block_on(run(&subject, workload, promised))?);
    }
    Ok(seen)
}

/// Runs a workload; what was seen, or which promise was broken.
async fn run(subject: &Subject, workload: &Workload, promised: &Guarantees) -> Result<Sights, String> {
    let histories = Histories::default();
    let context = subject.context(&Options::default(), histories.clone());
    let context = Context { judged_by: Some(promised.clone()), ..context };
    if let Err(broken) = judge(&context, workload).await {
        let (url, seed) = (subject.shown_url(), workload.seed);
        let kept = broken.keep(&format!("faithful-{}", subject.name), seed);
        let text = format!("{url}, with the workload of seed {seed}, does what its simulation may not");
        return Err(format!("{text}: {}\n{kept}", broken.text));
    }
    let mut seen = Sights::new();
    for recorder in histories.lock().unwrap().iter() {
        let history = read(&recorder.history()[..]).map_err(|error| error.to_string())?;
        add(&mut seen, &sights(&history));
    }
    Ok(seen)
}

fn add(all: &mut Sights, more: &Sights) {
    more.iter().for_each(|(seen, times)| *all.entry(*seen).or_default() += times);
}

fn text(sights: &Sights) -> String {
    let each: Vec<_> = sights.iter().map(|(seen, times)| format!("{seen} ({times})")).collect();
    each.join(", ")
}
