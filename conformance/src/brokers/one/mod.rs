//! All that can be done to one broker of one set.

use std::{
    fs::{self, File},
    time::Duration,
};

use super::{
    Engine, Error, Mode, PortChoice, Ports, Secure, State, Status, Step,
    catalogue::LocalBroker,
    container::{ContainerEngine, Service},
    control::EngineCell,
    lock, native, ready,
    record::Record,
    runner::{Condition, Runner},
    site::Site,
};

/// So often a broker is started that lives and does not answer, each time with an equal part of the time that it has.
const STARTS: u32 = 3;

/// One broker of one set.
pub(crate) struct One<'a> {
    pub(crate) broker: &'static dyn LocalBroker,
    pub(crate) site: Site,
    pub(crate) engine: &'a EngineCell,
}

impl One<'_> {
    pub(crate) async fn up(&self) -> Result<Status, Error> {
        self.up_on(None).await
    }

    /// On the ports that it has now, whatever was chosen: clients have its URL.
    pub(crate) async fn restart(&self) -> Result<Status, Error> {
        let before = Record::load(&self.site.folder)?.map(|record| record.ports);
        self.down().await?;
        self.up_on(before).await
    }

    async fn up_on(&self, ports: Option<Ports>) -> Result<Status, Error> {
        let options = &self.site.options;
        let _alone = self.alone(options.fetch_within + options.ready_within).await?;
        let (record, runner) = match self.running().await? {
            Some((record, runner)) => self.adopt(record, runner).await?,
            None => {
                let ports = match ports {
                    Some(ports) => ports,
                    None => self.ports().await?,
                };
                self.start(ports).await?
            }
        };
        let share = match &runner {
            Runner::Native(_) => options.ready_within / STARTS,
            Runner::Container(_) => options.ready_within,
        };
        let mut ended = self.ready(&record, &runner, share).await;
        for _ in 1..STARTS {
            if !matches!((&ended, &runner), (Err(Error::NotReady { .. }), Runner::Native(_))) {
                break;
            }
            ended = self.start_again(record.ports.clone(), share).await;
        }
        ended
    }

    /// Starts a broker again that lives and does not answer: Pulsar's start may hang for good (`docs/findings.md`). Clients go on
    /// looking for it where it was.
    async fn start_again(&self, ports: Ports, within: Duration) -> Result<Status, Error> {
        self.site.report(Step::Stuck);
        native::kill(&self.site, None).await?;
        let (record, runner) = self.start(ports).await?;
        self.ready(&record, &runner, within).await
    }

    async fn ready(&self, record: &Record, runner: &Runner, within: Duration) -> Result<Status, Error> {
        let ready = ready::wait(self.broker, &self.site, &record.ports, runner, within).await;
        if matches!((&ready, runner), (Err(Error::Died { .. }), Runner::Native(_))) {
            native::kill(&self.site, None).await?;
        }
        ready.map(|()| self.describe(record, runner, State::Ready))
    }

    pub(crate) async fn down(&self) -> Result<Status, Error> {
        let _alone = self.alone(self.site.options.ready_within).await?;
        self.stop().await?;
        self.status().await
    }

    /// Stops the broker and forgets its data.
    pub(crate) async fn reset(&self) -> Result<Status, Error> {
        let _alone = self.alone(self.site.options.ready_within).await?;
        self.stop().await?;
        if let Some(Record { mode: Mode::Container, .. }) = Record::load(&self.site.folder)? {
            self.service().await?.remove(self.site.options.stop_within).await?;
        }
        let data = self.site.data();
        if data.exists() {
            fs::remove_dir_all(&data).map_err(Error::file("remove", data))?;
        }
        self.status().await
    }

    pub(crate) async fn kill(&self) -> Result<(), Error> {
        let _alone = self.alone(self.site.options.ready_within).await?;
        self.runner().await?.kill(&self.site).await?;
        self.site.report(Step::Gone);
        Ok(())
    }

    pub(crate) async fn pause(&self) -> Result<(), Error> {
        let _alone = self.alone(self.site.options.ready_within).await?;
        self.runner().await?.pause(&self.site).await
    }

    pub(crate) async fn resume(&self) -> Result<(), Error> {
        let _alone = self.alone(self.site.options.ready_within).await?;
        self.runner().await?.resume(&self.site).await
    }

    pub(crate) async fn status(&self) -> Result<Status, Error> {
        let Some((record, runner)) = self.running().await? else {
            let version = self.broker.native_version(&self.site.options.cache);
            return Ok(Status::down(self.broker.name(), version));
        };
        if runner.condition().await? == Condition::Paused {
            return Ok(self.describe(&record, &runner, State::Paused));
        }
        let answer = self.broker.probe(&record.ports).await;
        let state = if answer.is_ok() { State::Ready } else { State::NotReady };
        Ok(Status { reason: answer.err(), ..self.describe(&record, &runner, state) })
    }

    /// Takes over a broker that runs already; a paused one goes on.
    async fn adopt(&self, record: Record, runner: Runner) -> Result<(Record, Runner), Error> {
        let wanted = match self.site.options.engine {
            Engine::Auto => record.mode,
            Engine::Containers => Mode::Container,
            Engine::Native => Mode::Native,
        };
        if wanted != record.mode {
            return Err(Error::OtherMode { broker: self.broker.name().into(), running: record.mode });
        }
        self.site.report(Step::AlreadyUp);
        if runner.condition().await? == Condition::Paused {
            runner.resume(&self.site).await?;
        }
        Ok((record, runner))
    }

    async fn start(&self, ports: Ports) -> Result<(Record, Runner), Error> {
        let service =
            self.engine.wanted(self.site.options.engine).await?.map(|engine| self.service_of(engine));
        if service.is_none() {
            self.broker.fetch(&self.site).await?;
        }
        self.site.report(Step::Starting);
        match service {
            Some(service) => self.start_container(service, ports).await,
            None => self.start_native(ports).await,
        }
    }

    async fn start_native(&self, ports: Ports) -> Result<(Record, Runner), Error> {
        let runner = Runner::Native(native::start(self.broker, &self.site, &ports).await?);
        let record = runner.record(ports);
        record.save(&self.site.folder)?;
        Ok((record, runner))
    }

    /// What is recorded first can be taken down even if this is not carried to its end.
    async fn start_container(&self, service: Service, ports: Ports) -> Result<(Record, Runner), Error> {
        let runner = Runner::Container(service.clone());
        let record = runner.record(ports);
        record.save(&self.site.folder)?;
        service.start(self.broker, &self.site, &record.ports).await?;
        Ok((record, runner))
    }

    /// Ports stay the same from one start to the next; [`PortChoice::Free`] alone gives way to whoever has one of them meanwhile.
    async fn ports(&self) -> Result<Ports, Error> {
        let uses = self.broker.ports();
        let before =
            || Ok(Record::load(&self.site.folder)?.map(|r| r.ports).filter(|ports| ports.are_for(uses)));
        match self.site.options.ports {
            PortChoice::Default => Ok(Ports::usual(uses)),
            PortChoice::Same => Ok(before()?.unwrap_or_else(|| Ports::usual(uses))),
            PortChoice::Free => match before()? {
                Some(ports) if native::get_free(&ports, uses).await => Ok(ports),
                _ => Ports::free(self.broker.name(), uses),
            },
        }
    }

    async fn stop(&self) -> Result<(), Error> {
        match self.running().await? {
            Some((_, runner)) => runner.stop(&self.site, self.broker.stop_signal()).await?,
            None => native::kill(&self.site, None).await?,
        }
        self.site.report(Step::Gone);
        Ok(())
    }

    async fn runner(&self) -> Result<Runner, Error> {
        let running = self.running().await?;
        running
            .map(|(_, runner)| runner)
            .ok_or_else(|| Error::NotRunning { broker: self.broker.name().into() })
    }

    /// How the broker was started, if it still runs.
    async fn running(&self) -> Result<Option<(Record, Runner)>, Error> {
        let Some(record) = Record::load(&self.site.folder)? else { return Ok(None) };
        let runner = match record.process {
            Some(process) => Runner::Native(process),
            None => Runner::Container(self.service().await?),
        };
        let gone = runner.condition().await? == Condition::Gone;
        Ok((!gone).then_some((record, runner)))
    }

    async fn service(&self) -> Result<Service, Error> {
        Ok(self.service_of(self.engine.get().await?))
    }

    fn service_of(&self, engine: ContainerEngine) -> Service {
        let set = self.site.folder.parent().unwrap_or(&self.site.folder).to_owned();
        Service { engine, set, name: self.broker.name() }
    }

    async fn alone(&self, within: Duration) -> Result<File, Error> {
        lock::hold(&self.site.folder, within).await
    }

    fn secure(&self, record: &Record) -> Option<Secure> {
        let files = self.site.tls();
        let urls = self.broker.secure_urls(&record.ports, &files);
        (record.mode == Mode::Native && !urls.is_empty()).then_some(Secure { urls, files })
    }

    fn describe(&self, record: &Record, runner: &Runner, state: State) -> Status {
        let version = match record.mode {
            Mode::Container => Some(self.broker.image_version().into()),
            Mode::Native => self.broker.native_version(&self.site.options.cache),
        };
        Status {
            name: self.broker.name().into(),
            state,
            version,
            mode: Some(record.mode),
            pid: record.process.map(|process| process.pid),
            url: Some(self.broker.url(&record.ports)),
            management_url: self.broker.management_url(&record.ports),
            proxied: self.broker.proxied(&record.ports),
            secure: self.secure(record),
            log: Some(runner.log(&self.site)),
            reason: None,
        }
    }
}

#[cfg(test)]
mod tests;
