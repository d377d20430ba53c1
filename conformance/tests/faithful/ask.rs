//! Asks a question of a real broker and of its simulation.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use anybroker_conformance::subject::Subject;

use crate::characteristics::Characteristic;
use crate::differences::known;
use crate::kinds::Pair;
use crate::scene::{Scene, mended};

/// What both have answered, by characteristic and pair.
#[derive(Default)]
pub(crate) struct Answers(Mutex<BTreeMap<(&'static str, &'static str), [String; 2]>>);

/// How long a question may take.
const LONGEST: Duration = Duration::from_secs(120);

/// Asks both; they must agree, unless it is known that they don't.
pub(crate) fn both(pair: &Pair, characteristic: &Characteristic, answers: &Answers) -> Result<(), String> {
    if let Some(reason) = pair.not_asked(characteristic) {
        println!("not asked: {}::{}: {reason}", pair.name, characteristic.name);
        return Ok(());
    }
    if let Some(missing) = &pair.real.missing {
        return Err(missing.clone());
    }
    let simulated = simulated(pair, characteristic)?;
    let real = real(&pair.real, characteristic)?;
    answers.0.lock().unwrap().insert((characteristic.name, pair.name), [real.clone(), simulated.clone()]);
    let question = characteristic.question;
    match (known(pair.name, characteristic.name), real == simulated) {
        (None, true) => Ok(()),
        (Some(known), false) => {
            println!("known to differ: {question} {real} | simulated: {simulated} | {}", known.why);
            Ok(())
        }
        (None, false) => Err(format!("{question}\n  real:      {real}\n  simulated: {simulated}")),
        (Some(_), true) => {
            Err(format!("{question} Both answer: {real}. Take it off the list of differences"))
        }
    }
}

/// In virtual time.
fn simulated(pair: &Pair, characteristic: &Characteristic) -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let subject = pair.simulated(&format!("{}-{}", characteristic.name, pair.name), None);
    runtime.unwrap().block_on(ask(&subject, characteristic))
}

fn real(subject: &Subject, characteristic: &Characteristic) -> Result<String, String> {
    let turn = subject.turn(characteristic.disturbs);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let answer = runtime.block_on(async {
        match ask(subject, characteristic).await {
            Err(why) => mended(subject, why).await,
            answer => answer,
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
    drop(turn);
    answer
}

async fn ask(subject: &Subject, characteristic: &Characteristic) -> Result<String, String> {
    let answer = async {
        let scene = Scene::new(subject, characteristic.name).await?;
        (characteristic.ask)(scene).await
    };
    let told = |error: &dyn std::fmt::Display| {
        format!("{} of {}: {error}", characteristic.name, subject.shown_url())
    };
    match tokio::time::timeout(LONGEST, answer).await {
        Ok(answer) => answer.map_err(|error| told(&error)),
        Err(_) => Err(told(&format!("no answer within {LONGEST:?}"))),
    }
}

impl Answers {
    /// What the real one and the simulation have answered; the same twice where they agree.
    pub(crate) fn of(&self, pair: &'static str, characteristic: &'static str) -> Option<[String; 2]> {
        self.0.lock().unwrap().get(&(characteristic, pair)).cloned()
    }
}
