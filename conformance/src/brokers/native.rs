//! Brokers as processes of this system.

use std::{fs, time::Duration};

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::{
    Error, Ports, ProcessId, Step,
    catalogue::LocalBroker,
    ports::PortUse,
    process::{belonging, spawn},
    site::Site,
    tool::last_lines,
};

const INTERVAL: Duration = Duration::from_millis(20);
/// A killed process is gone as soon as the system gets to it.
const GONE_WITHIN: Duration = Duration::from_secs(20);
/// A port whose holder has ended is free.
const FREE_WITHIN: Duration = Duration::from_secs(2);
const TAIL: usize = 20;

/// Starts the broker, whose distribution has been fetched. What is left of an earlier start is ended first.
pub(crate) async fn start(broker: &dyn LocalBroker, site: &Site, ports: &Ports) -> Result<ProcessId, Error> {
    kill(site, None).await?;
    if !get_free(ports, broker.ports()).await {
        ports.check(broker.name(), broker.ports())?;
    }
    let command = broker.prepare(site, ports).await?;
    spawn(&command, &site.mark(), &site.log())
}

/// Asks the broker to stop by this signal, and kills it if it does not.
pub(crate) async fn stop(site: &Site, main: ProcessId, ask: Signal) -> Result<(), Error> {
    site.report(Step::Stopping);
    main.signal(ask);
    signal_all(site, main, Signal::CONT);
    if !until(site.options.stop_within, || !main.alive()).await {
        site.report(Step::Killing);
    }
    kill(site, Some(main)).await
}

/// Kills everything that belongs to the broker and waits until it is gone.
pub(crate) async fn kill(site: &Site, main: Option<ProcessId>) -> Result<(), Error> {
    let gone = until(GONE_WITHIN, || {
        let left = members(site, main);
        left.iter().for_each(|process| _ = process.signal(Signal::KILL));
        left.is_empty()
    });
    if gone.await {
        return Ok(());
    }
    let pids: Vec<String> = members(site, main).iter().map(|process| process.pid.to_string()).collect();
    Err(Error::NotGone { broker: site.broker.into(), within: GONE_WITHIN, pids: pids.join(", ") })
}

/// Whether these ports are free within a moment: one may be held a little longer than the process lives that had it.
pub(crate) async fn get_free(ports: &Ports, uses: &[PortUse]) -> bool {
    until(FREE_WITHIN, || ports.are_free(uses)).await
}

/// Suspends the broker: its sockets stay open and nothing answers.
pub(crate) async fn pause(site: &Site, main: ProcessId) {
    // First the one that starts the others, so that none is missed.
    main.signal(Signal::STOP);
    until(GONE_WITHIN, || main.stopped() || !main.alive()).await;
    signal_all(site, main, Signal::STOP);
}

/// Lets a suspended broker go on.
pub(crate) fn resume(site: &Site, main: ProcessId) {
    signal_all(site, main, Signal::CONT);
}

/// The end of the broker's log.
pub(crate) fn tail(site: &Site) -> String {
    last_lines(&String::from_utf8_lossy(&fs::read(site.log()).unwrap_or_default()), TAIL)
}

fn signal_all(site: &Site, main: ProcessId, signal: Signal) {
    for process in members(site, Some(main)) {
        process.signal(signal);
    }
}

/// All living processes of the broker. The main one counts even if its environment cannot be read.
fn members(site: &Site, main: Option<ProcessId>) -> Vec<ProcessId> {
    let mut members = belonging(&site.mark(), &site.log());
    members.extend(main.filter(|main| main.alive() && !members.contains(main)));
    members
}

async fn until(within: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + within;
    while !holds() {
        if Instant::now() >= deadline {
            return false;
        }
        sleep(INTERVAL).await;
    }
    true
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{process::Command, sync::Arc};

    use tempfile::TempDir;

    use super::*;
    use crate::brokers::Options;

    /// A site, and the folder that it is in while that value lives.
    pub(crate) fn site(broker: &'static str) -> (Site, TempDir) {
        let held = tempfile::tempdir().unwrap();
        let folder = held.path().to_owned();
        let options = Options {
            cache: folder.join("cache"),
            stop_within: Duration::from_millis(300),
            ready_within: Duration::from_millis(1_500),
            ..Options::default()
        };
        let site = Site { broker, folder, options: Arc::new(options), reporter: Arc::new(|_| {}) };
        (site, held)
    }

    pub(crate) fn shell(site: &Site, script: &str) -> ProcessId {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        spawn(&command, &site.mark(), &site.log()).unwrap()
    }

    #[tokio::test]
    async fn stopping_takes_the_detached_helpers_along() {
        let (site, _folder) = site("kafka");
        let main = shell(&site, "setsid sleep 60 & exec sleep 60");
        until(GONE_WITHIN, || members(&site, None).len() == 2).await;
        stop(&site, main, Signal::TERM).await.unwrap();
        assert!(!main.alive() && members(&site, None).is_empty());
    }

    #[tokio::test]
    async fn what_ignores_the_request_is_killed() {
        let (site, _folder) = site("kafka");
        let main = shell(&site, "trap '' TERM; echo deaf; while :; do sleep 1; done");
        until(GONE_WITHIN, || tail(&site) == "deaf").await;
        stop(&site, main, Signal::TERM).await.unwrap();
        assert!(!main.alive());
    }

    #[tokio::test]
    async fn a_paused_broker_goes_on_or_is_stopped() {
        let (site, _folder) = site("kafka");
        let main = shell(&site, "exec sleep 60");
        pause(&site, main).await;
        assert!(main.stopped());
        resume(&site, main);
        assert!(until(GONE_WITHIN, || !main.stopped()).await);
        pause(&site, main).await;
        stop(&site, main, Signal::TERM).await.unwrap();
        assert!(!main.alive());
    }
}
