//! Programs that only the system's package manager installs: on request, otherwise the error says what to run.

use std::{env, path::Path, process::Stdio};

use tokio::process::Command;

use crate::brokers::{Error, Step, error::install_command, lock, site::Site, tool};

/// A program and the Debian package that has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program {
    name: &'static str,
    package: &'static str,
    proof: Proof,
}

/// How it is known that a program is there.
#[derive(Clone, Copy, Debug)]
enum Proof {
    /// A file of its name.
    Name,
    /// A command that succeeds.
    Command(&'static [&'static str]),
    /// A look at the system.
    Found(fn() -> bool),
}

impl Program {
    /// A program by its name, or by its path where it is in no search path.
    pub(crate) const fn new(name: &'static str, package: &'static str) -> Self {
        Self { name, package, proof: Proof::Name }
    }

    /// It is there if this command succeeds: for what is no program of its own.
    pub(crate) const fn proved_by(self, proof: &'static [&'static str]) -> Self {
        Self { proof: Proof::Command(proof), ..self }
    }

    /// It is there if this says so: for what is in one of many places, or too old.
    pub(crate) const fn found_by(self, found: fn() -> bool) -> Self {
        Self { proof: Proof::Found(found), ..self }
    }

    fn present(&self) -> bool {
        match self.proof {
            Proof::Name => found(self.name),
            Proof::Command(words) => {
                words.split_first().is_some_and(|(program, arguments)| succeeds(program, arguments))
            }
            Proof::Found(found) => found(),
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
    Err(lack(site, &missing))
}

/// The error that these programs are not there.
pub(crate) fn lack(site: &Site, missing: &[&Program]) -> Error {
    Error::MissingPackages {
        broker: site.broker.into(),
        missing: missing.iter().map(|program| program.name).collect::<Vec<_>>().join(", "),
        packages: missing.iter().map(|program| program.package.to_owned()).collect(),
    }
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
            Program::new("anywhere", "somewhere").found_by(|| true),
            Program::new("nowhere", "no-such-place").found_by(|| false),
        ];
        let (site, _folder) = site("kafka");
        let error = ensure(&site, &programs).await.unwrap_err();
        let Error::MissingPackages { missing, packages, .. } = error else { panic!("{error}") };
        assert_eq!(missing, "/no/such/program, its part, nowhere");
        assert_eq!(packages, ["no-such-package", "no-such-part", "no-such-place"]);
    }
}
