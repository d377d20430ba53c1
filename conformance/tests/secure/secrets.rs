//! What must never be printed.

/// The starter's password for its local brokers, and the one that tests make up.
pub(crate) const SECRETS: [&str; 2] = ["correct-horse-7", "hunter2"];

/// Fails if a secret shows.
pub(crate) fn none_in(text: &str) -> Result<(), String> {
    match SECRETS.iter().find(|secret| text.contains(*secret)) {
        // The text is the proof, so it is shown without the secret.
        Some(secret) => Err(format!("a secret shows: {}", text.replace(secret, "[HERE]"))),
        None => Ok(()),
    }
}
