//! Which of librdkafka's own settings can be passed through.

/// Settings that the guarantees rest on, and which therefore cannot be passed through.
const OWNED: [&str; 27] = [
    "acks",
    "allow.auto.create.topics",
    "auto.offset.reset",
    "bootstrap.servers",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "enable.partition.eof",
    "enable.ssl.certificate.verification",
    "group.id",
    "group.protocol",
    "isolation.level",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "max.poll.interval.ms",
    "message.max.bytes",
    "message.send.max.retries",
    "metadata.broker.list",
    "partitioner",
    "request.required.acks",
    "retries",
    "ssl.endpoint.identification.algorithm",
    "statistics.interval.ms",
    "transaction.timeout.ms",
    "transactional.id",
    "delivery.report.only.error",
];

/// Settings that have a name of ours: what was passed through would be ignored.
const NAMED: [(&str, &str); 7] = [
    ("delivery.timeout.ms", "message_timeout="),
    ("linger.ms", "linger="),
    ("message.timeout.ms", "message_timeout="),
    ("queue.buffering.max.kbytes", "PublisherOptions::window_bytes"),
    ("queue.buffering.max.messages", "PublisherOptions::window_messages"),
    ("queue.buffering.max.ms", "linger="),
    ("security.protocol", "kafka:// or kafka+ssl://, and a user"),
];

/// Why a setting cannot be passed through.
pub(crate) fn refusal(name: &str) -> Option<String> {
    if OWNED.contains(&name) {
        return Some(format!("x.{name} is set by this adapter, because its guarantees rest on it"));
    }
    let (_, instead) = NAMED.iter().find(|(named, _)| *named == name)?;
    Some(format!("x.{name} is set by this adapter; say it by {instead}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_passed_through_is_ignored() {
        for name in ["linger.ms", "security.protocol", "acks", "message.max.bytes"] {
            assert!(refusal(name).is_some(), "{name}");
        }
        assert_eq!(refusal("compression.codec"), None);
    }
}
