//! A topic of its own for each test.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::command::{Ran, anybroker};

/// A topic with a group of its own, deleted in the end. On Kafka a group belongs to no topic: one that several tests
/// share could not be declared while another test's member is in it.
pub(crate) struct TestTopic {
    pub(crate) url: String,
    pub(crate) name: String,
    pub(crate) group: String,
}

impl TestTopic {
    pub(crate) fn create(url: &str) -> Self {
        Self::create_with(url, &[])
    }

    pub(crate) fn create_with(url: &str, options: &[&str]) -> Self {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let [name, group] = ["cli", "g"].map(|what| format!("{what}-{nanos}-{}", std::process::id()));
        let topic = TestTopic { url: url.to_owned(), name, group };
        let created = anybroker(
            &[&["topics", "create", url, &topic.name, "--groups", &topic.group], options].concat(),
            "",
        );
        assert_eq!(created.code, Some(0), "is the broker up? {}", created.err);
        topic
    }

    /// Publishes.
    pub(crate) fn publish(&self, options: &[&str], input: &str) -> Ran {
        let mut args = vec!["pub", &self.url, &self.name, "--format", "json"];
        args.extend(options);
        anybroker(&args, input)
    }

    /// Publishes `count` lines `0`, `1`, … of one key, all of which must be ok.
    pub(crate) fn fill(&self, count: usize) {
        let input: String = (0..count).map(|n| format!("{n}\n")).collect();
        let ran = self.publish(&["--key", "k"], &input);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
    }

    /// The arguments of `sub` in its group.
    pub(crate) fn sub_args<'a>(&'a self, options: &[&'a str]) -> Vec<&'a str> {
        let mut args = vec!["sub", &self.url, &self.name, "--group", &self.group, "--format", "json"];
        args.extend(options);
        args
    }

    /// Receives in its group.
    pub(crate) fn receive(&self, options: &[&str]) -> Ran {
        let ran = anybroker(&self.sub_args(options), "");
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        ran
    }

    /// The payloads of what is received, as numbers.
    pub(crate) fn numbers(&self, options: &[&str]) -> Vec<usize> {
        numbers(&self.receive(options))
    }
}

impl Drop for TestTopic {
    fn drop(&mut self) {
        anybroker(&["topics", "delete", &self.url, &self.name], "");
    }
}

/// The payloads as numbers.
fn numbers(ran: &Ran) -> Vec<usize> {
    ran.json().iter().map(|line| line["payload"].as_str().unwrap().parse().unwrap()).collect()
}

pub(crate) fn topics_are_listed_purged_and_deleted(url: &str) {
    let topic = TestTopic::create(url);
    let again = anybroker(&["topics", "create", url, &topic.name, "--groups", &topic.group], "");
    assert_eq!(again.code, Some(0), "creating what is there: {}", again.err);

    let listed = anybroker(&["topics", "list", url, "--format", "json"], "");
    match listed.code {
        Some(0) => assert!(listed.json().iter().any(|line| line["topic"] == topic.name.as_str())),
        // Where the protocol can't list, the text says what can.
        _ => assert!(listed.err.contains("unsupported") && listed.err.contains(';'), "{}", listed.err),
    }

    topic.fill(10);
    let purged = anybroker(&["topics", "purge", url, &topic.name], "");
    assert_eq!(purged.code, Some(0), "{}", purged.err);
    topic.fill(1);
    assert_eq!(topic.numbers(&["--max", "1"]), [0]);

    let deleted = anybroker(&["topics", "delete", url, &topic.name], "");
    assert_eq!(deleted.code, Some(0), "{}", deleted.err);
    let missing = anybroker(&["topics", "delete", url, &topic.name], "");
    assert_eq!(missing.code, Some(2), "{}", missing.err);
}
