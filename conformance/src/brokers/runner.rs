//! A started broker, whichever way it runs.

use rustix::process::Signal;

use super::{Error, Mode, ProcessId, container::Service, native, record::Record, site::Site};

/// How a started broker is reached.
pub(crate) enum Runner {
    Native(ProcessId),
    Container(Service),
}

/// What the system says of a started broker, without asking the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Gone,
    Paused,
    Running,
}

impl Runner {
    pub(crate) async fn condition(&self) -> Result<Condition, Error> {
        match self {
            Self::Native(process) if !process.alive() => Ok(Condition::Gone),
            Self::Native(process) if process.stopped() => Ok(Condition::Paused),
            Self::Native(_) => Ok(Condition::Running),
            Self::Container(service) => service.condition().await,
        }
    }

    /// Asks the broker to stop, a native one by this signal.
    pub(crate) async fn stop(&self, site: &Site, ask: Signal) -> Result<(), Error> {
        match self {
            Self::Native(process) => native::stop(site, *process, ask).await,
            Self::Container(service) => {
                service.tell("unpause", site.options.stop_within).await.ok();
                service.tell("stop", site.options.stop_within * 2).await
            }
        }
    }

    pub(crate) async fn kill(&self, site: &Site) -> Result<(), Error> {
        match self {
            Self::Native(process) => native::kill(site, Some(*process)).await,
            Self::Container(service) => service.tell("kill", site.options.stop_within).await,
        }
    }

    pub(crate) async fn pause(&self, site: &Site) -> Result<(), Error> {
        match self {
            Self::Native(process) => {
                native::pause(site, *process).await;
                Ok(())
            }
            Self::Container(service) => service.tell("pause", site.options.stop_within).await,
        }
    }

    pub(crate) async fn resume(&self, site: &Site) -> Result<(), Error> {
        match self {
            Self::Native(process) => {
                native::resume(site, *process);
                Ok(())
            }
            Self::Container(service) => service.tell("unpause", site.options.stop_within).await,
        }
    }

    pub(crate) async fn tail(&self, site: &Site) -> String {
        match self {
            Self::Native(_) => native::tail(site),
            Self::Container(service) => service.tail().await,
        }
    }

    pub(crate) fn log(&self, site: &Site) -> String {
        match self {
            Self::Native(_) => site.log().display().to_string(),
            Self::Container(service) => service.log(),
        }
    }

    pub(crate) fn record(&self, ports: super::Ports) -> Record {
        match self {
            Self::Native(process) => Record { mode: Mode::Native, ports, process: Some(*process) },
            Self::Container(_) => Record { mode: Mode::Container, ports, process: None },
        }
    }
}
