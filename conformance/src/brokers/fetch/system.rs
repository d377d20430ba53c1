//! Programs that only the system's package manager installs: on request, otherwise the error says what to run.

use std::{env, path::Path, process::Stdio};

use tokio::process::Command;

use crate::brokers::{Error, Step, error::install_command, lock, site::Site, tool};

/// A program and the Debian package that has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program {
    name: &'static str,
    package: &'static str,
    proof: &'static [&'static str],
}

impl Program {
    /// A program by its name, or by its path where it is in no search path.
    pub(crate) const fn new(name: &'static str, package: &'static str) -> Self {
        Self { name, package, proof: &[] }
    }

    /// It is there if this command succeeds: for what is no program of its own.
    pub(crate) const fn proved_by(self, proof: &'static [&'static str]) -> Self {
        Self { proof, ..self }
    }

    fn present(&self) -> bool {
        match self.proof.split_first() {
            Some((program, arguments)) => succeeds(program, arguments),
            None => found(self.name),
        }
    }
}

/// Makes sure that these programs are there.
pub(crate) async fn ensure(site: &Site, programs: &[Program]) -> Result<(), Error> {
    check(site, programs)
        .or_else(|missing| if site.options.install_system { Ok(()) } else { Err(missing) })?;
    if check(site, programs).is_ok() {
        return Ok(());
    }
    let _alone = lock::hold(&site.options.cache.join("apt"), site.options.fetch_within).await?;
    let packages: Vec<String> = missing(programs).map(|program| program.package.to_owned()).collect();
    if !packages.is_empty() {
        site.report(Step::Fetching(packages.join(", ")));
        apt("update", &[], site).await?;
        apt("install", &packages, site).await?;
    }
    check(site, programs)
}

fn check(site: &Site, programs: &[Program]) -> Result<(), Error> {
    let missing: Vec<&Program> = missing(programs).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::MissingPackages {
        broker: site.broker.into(),
        missing: missing.iter().map(|program| program.name).collect::<Vec<_>>().join(", "),
        packages: missing.iter().map(|program| program.package.to_owned()).collect(),
    })
}

fn missing(programs: &[Program]) -> impl Iterator<Item = &Program> {
    programs.iter().filter(|program| !program.present())
}

fn found(program: &str) -> bool {
    if program.starts_with('/') {
        return Path::new(program).exists();
    }
    let folders = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&folders).any(|folder| folder.join(program).exists())
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let mut command = std::process::Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

async fn apt(verb: &str, packages: &[String], site: &Site) -> Result<(), Error> {
    let typed = install_command(packages);
    let mut words = typed.split_ascii_whitespace();
    let mut command = Command::new(words.next().unwrap_or_default());
    command.env("DEBIAN_FRONTEND", "noninteractive");
    match verb {
        "install" => command.args(words),
        _ => command.arg(verb),
    };
    tool::run(command, site.options.fetch_within).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brokers::native::tests::site;

    #[tokio::test]
    async fn what_is_missing_is_said_and_nothing_is_installed() {
        let programs = [
            Program::new("sh", "dash"),
            Program::new("/no/such/program", "no-such-package"),
            Program::new("sh", "dash").proved_by(&["sh", "-c", "exit 0"]),
            Program::new("its part", "no-such-part").proved_by(&["sh", "-c", "exit 1"]),
        ];
        let (site, _folder) = site("kafka");
        let error = ensure(&site, &programs).await.unwrap_err();
        let Error::MissingPackages { missing, packages, .. } = error else { panic!("{error}") };
        assert_eq!(missing, "/no/such/program, its part");
        assert_eq!(packages, ["no-such-package", "no-such-part"]);
    }
}
