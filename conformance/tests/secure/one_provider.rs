//! One TLS provider for all: a second one in a process panics at the first use.

use std::process::Command;

use libtest_mimic::{Failed, Trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![Trial::test("one_provider::ring_is_not_built_in", ring_is_not_built_in)]
}

/// That several backends use TLS in one process without a panic is what all other cases show: nothing installs a
/// provider for them.
fn ring_is_not_built_in() -> Result<(), Failed> {
    let arguments = "tree --workspace --all-features --edges normal,build --locked --offline --invert ring";
    let tree = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(arguments.split(' '))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()?;
    let (printed, said) = (String::from_utf8_lossy(&tree.stdout), String::from_utf8_lossy(&tree.stderr));
    match said.contains("nothing to print") && printed.trim().is_empty() {
        true => Ok(()),
        false => Err(Failed::from(format!("ring is built in by:\n{printed}{said}"))),
    }
}
