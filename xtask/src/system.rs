//! What has to be installed before anything is built.

use std::process::{Command, Stdio};

/// A tool or library that the adapters' C code is built with, or tests need, and the Debian package that has it.
const NEEDED: [(&str, &[&str], &str); 7] = [
    ("a C compiler", &["cc", "--version"], "gcc"),
    ("make", &["make", "--version"], "make"),
    ("pkg-config", &["pkg-config", "--version"], "pkg-config"),
    ("OpenSSL's headers", &["pkg-config", "--exists", "openssl"], "libssl-dev"),
    ("protoc, which Pulsar's client is built with", &["protoc", "--version"], "protobuf-compiler"),
    ("zlib's headers", &["pkg-config", "--exists", "zlib"], "zlib1g-dev"),
    (
        "Python's venv, for the tests with its clients",
        &["python3", "-c", "import venv, ensurepip"],
        "python3-venv",
    ),
];

/// Makes sure that everything needed is there.
pub(crate) fn ready(install: bool) -> Result<String, String> {
    let missing: Vec<_> = NEEDED.iter().filter(|(_, probe, _)| !succeeds(probe)).collect();
    if missing.is_empty() {
        return Ok("nothing is missing".to_owned());
    }
    let packages: Vec<_> = missing.iter().map(|(_, _, package)| *package).collect();
    let names: Vec<_> = missing.iter().map(|(name, ..)| *name).collect();
    let command = format!("apt-get install -y --no-install-recommends {}", packages.join(" "));
    if !install {
        return Err(format!("{} missing; run: {command} (or pass --install-system)", names.join(", ")));
    }
    if apt(&command) {
        Ok(format!("installed {}", packages.join(", ")))
    } else {
        Err(format!("failed: {command}"))
    }
}

/// Whether valgrind is there, or could be installed. Nothing is built with it: where it is missing, one step is not run.
pub(crate) fn has_valgrind(install: bool) -> bool {
    let there = || succeeds(&["valgrind", "--version"]);
    there() || install && apt("apt-get install -y --no-install-recommends valgrind") && there()
}

fn apt(command: &str) -> bool {
    let all = format!("apt-get update -q && DEBIAN_FRONTEND=noninteractive {command}");
    succeeds(&["sh", "-c", &all])
}

fn succeeds(command: &[&str]) -> bool {
    let status =
        Command::new(command[0]).args(&command[1..]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
