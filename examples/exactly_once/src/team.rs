//! The workers: processes, or tasks where the broker is in this process. One after the other is killed, and started again.

use std::process::Stdio;
use std::time::Duration;

use anybroker::{Error, Kind, Result};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::settings::Settings;
use crate::text::random;
use crate::worker;

/// How long after its turn has come a worker lives at most, in microseconds; in memory all is done in a moment.
const MOMENT: u64 = 20_000;
const MOMENT_IN_MEMORY: u64 = 500;

enum Worker {
    Process(Child),
    Task(JoinHandle<Result<()>>),
}

impl Worker {
    fn start(settings: &Settings, number: u64) -> Result<Self> {
        let name = format!("worker-{number}");
        if settings.is_embedded() {
            let settings = settings.clone();
            let task = tokio::spawn(async move { worker::work(&settings, &name).await });
            return Ok(Worker::Task(task));
        }
        let program = std::env::current_exe();
        let child = program.and_then(|program| {
            let mut command = Command::new(program);
            command.args(["--worker", &name, "--run", &settings.run.to_string()]);
            command.env("ANYBROKER_URL", &settings.url).stdin(Stdio::null()).kill_on_drop(true);
            if settings.at_least_once {
                command.arg("--at-least-once");
            }
            command.spawn()
        });
        child.map(Worker::Process).map_err(|error| {
            Error::new(Kind::Unexpected, "start a worker", "there is no process").with_source(error)
        })
    }

    /// SIGKILL; a task is dropped at whatever it awaits.
    async fn kill(&mut self) {
        match self {
            // One that has ended by itself is told of elsewhere.
            Worker::Process(child) => _ = child.kill().await,
            Worker::Task(task) => {
                task.abort();
                _ = task.await;
            }
        }
    }

    /// Why it ended by itself, if it has.
    async fn ended(&mut self) -> Option<Error> {
        let text = match self {
            Worker::Process(child) => match child.try_wait() {
                Ok(None) => return None,
                Ok(Some(status)) => format!("a worker ended by itself: {status}"),
                Err(error) => error.to_string(),
            },
            Worker::Task(task) if !task.is_finished() => return None,
            Worker::Task(task) => match task.await {
                Ok(Err(error)) => return Some(error),
                _ => "a worker ended by itself".to_owned(),
            },
        };
        Some(Error::new(Kind::Unexpected, "count", text))
    }
}

/// The workers at work.
pub(crate) struct Team {
    settings: Settings,
    workers: Vec<Worker>,
    /// How many words are counted so far, of how many.
    counted: watch::Receiver<u64>,
    expected: u64,
    kills: u64,
}

impl Team {
    pub(crate) fn start(settings: &Settings, counted: watch::Receiver<u64>, expected: u64) -> Result<Self> {
        let workers = (0..settings.workers.into()).map(|number| Worker::start(settings, number));
        let workers = workers.collect::<Result<_>>()?;
        Ok(Team { settings: settings.clone(), workers, counted, expected, kills: 0 })
    }

    /// Kills and starts workers, evenly over the work; returns only if one cannot work.
    pub(crate) async fn run(&mut self) -> Error {
        loop {
            if let Err(error) = self.turn().await {
                return error;
            }
        }
    }

    async fn turn(&mut self) -> Result<()> {
        let due = self.expected * (self.kills + 1) / (self.settings.kills + 1);
        let (over, counted) = (self.kills == self.settings.kills, &mut self.counted);
        let turn = counted.wait_for(|counted| !over && *counted >= due);
        if tokio::time::timeout(Duration::from_secs(1), turn).await.is_ok() {
            self.kill_one().await?;
        }
        for worker in &mut self.workers {
            if let Some(error) = worker.ended().await {
                return Err(error);
            }
        }
        Ok(())
    }

    async fn kill_one(&mut self) -> Result<()> {
        self.kills += 1;
        let chance = random(self.settings.seed.wrapping_add(self.kills));
        // So that it is in the midst of something.
        let moment = if self.settings.is_embedded() { MOMENT_IN_MEMORY } else { MOMENT };
        tokio::time::sleep(Duration::from_micros(chance % moment)).await;
        let number = chance / moment % self.workers.len() as u64;
        if let Some(worker) = self.workers.get_mut(number as usize) {
            let counted = *self.counted.borrow();
            eprintln!("{counted} of {} words are counted; worker-{number} is killed", self.expected);
            worker.kill().await;
            *worker = Worker::start(&self.settings, number)?;
        }
        Ok(())
    }

    /// Ends all; says how often one was killed before.
    pub(crate) async fn end(mut self) -> u64 {
        for worker in &mut self.workers {
            worker.kill().await;
        }
        self.kills
    }
}
