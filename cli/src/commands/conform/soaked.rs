//! `anybroker conform URL --minutes M`: the cases, then rounds of large random workloads with faults.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anybroker_conformance::run::{self, CaseReport, CaseVerdict, Progress, RunReport};
use anybroker_conformance::subject::Subject;
use anybroker_conformance::workload::{SoakOptions, SoakProgress, Standing, soak};

use super::Watched;
use crate::failure::Failure;
use crate::output;
use anybroker::worker::Signals;

/// How long it takes, and where it stands in between.
#[derive(Debug, clap::Args)]
pub(super) struct Soak {
    /// After the cases go on with random workloads and faults, for at least so many minutes in all.
    #[arg(long, value_name = "M", value_parser = minutes)]
    minutes: Option<f64>,
    /// Go on until at least so many messages were published.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "minutes")]
    messages: u64,
    /// After each round, write here where it stands; if the file is there, go on from it.
    #[arg(long, value_name = "FILE", requires = "minutes")]
    state: Option<PathBuf>,
}

fn minutes(text: &str) -> Result<f64, String> {
    let minutes: Option<f64> = text.parse().ok();
    minutes.filter(|it| (0.0..=1e6).contains(it)).ok_or_else(|| "minutes are a number from 0 on".to_owned())
}

impl Soak {
    /// Soaks the broker, if that is asked for. The first signal ends it after the round that runs, the second at once.
    pub(super) async fn run(
        &self,
        subject: &Subject,
        run: run::Options,
        signals: &mut Signals,
    ) -> Option<Result<RunReport, Failure>> {
        let time = Duration::from_secs_f64(self.minutes? * 60.0);
        let (messages, state) = (self.messages, self.state.clone());
        let options = SoakOptions { time, messages, run, resume: state.is_some(), state };
        let stop = AtomicBool::new(false);
        let rounds = Rounds { cases: Watched::new(subject, &run) };
        let mut soak = std::pin::pin!(soak(subject, &options, &rounds, &stop));
        let ended = loop {
            tokio::select! {
                ended = &mut soak => break ended,
                () = signals.next() => {}
            }
            if stop.swap(true, Ordering::Relaxed) {
                return Some(Err(given_up(subject).await));
            }
            output::note("interrupted: it ends with the round that runs; a second signal ends it at once");
        };
        Some(match ended {
            Ok(_) if stop.load(Ordering::Relaxed) => Err(Failure::new(self.stopped())),
            ended => ended.map_err(|error| Failure::new(error.to_string())),
        })
    }

    fn stopped(&self) -> String {
        match &self.state {
            Some(path) => format!("interrupted; the same command goes on from {}", path.display()),
            None => "interrupted; with --state FILE it would go on from there".to_owned(),
        }
    }
}

async fn given_up(subject: &Subject) -> Failure {
    let broker = run::restore(subject).await;
    let broker =
        broker.err().map_or(String::new(), |error| format!("; the broker did not come back: {error}"));
    Failure::new(format!("interrupted within a round, of which nothing is kept{broker}"))
}

/// A line for each case and each round.
struct Rounds {
    cases: Watched,
}

impl Progress for Rounds {
    fn begins(&self, case: &str, done: usize, of: usize) {
        self.cases.begins(case, done, of);
    }

    fn ended(&self, case: &CaseReport) {
        self.cases.ended(case);
    }
}

impl SoakProgress for Rounds {
    fn round(&self, standing: &Standing) {
        self.cases.finish();
        let Standing { rounds, messages, seconds, faults, unknown, last, .. } = standing;
        let (verdict, of) = (last.verdict.name().replace('_', " "), standing.of_seconds / 60.0);
        output::note(&format!(
            "[{:.1}/{of:.1} min] round {rounds} {verdict}; {messages} messages, {faults} faults, {unknown} outcomes unknown",
            seconds / 60.0
        ));
        if last.verdict == CaseVerdict::Failed {
            output::note(&format!("seed {}: {}", last.seed, last.text));
        }
    }
}
