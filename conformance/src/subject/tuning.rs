//! What a backend has in its URL while it is tested, so that its own time-outs pass within a case.

use anybroker_core::BrokerUrl;

/// How a backend is set up for a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tuning {
    /// Parameters of its URL, unless they stand there already.
    pub parameters: &'static [(&'static str, &'static str)],
    /// What members apart have in their URL besides: they notice within seconds that the other side is silent, and it that
    /// they are.
    pub impatient: &'static str,
    /// Which of the starter's brokers it works on; none for an embedded one.
    pub process: Option<&'static str>,
    /// Whether another process reaches it by its URL.
    pub shared: bool,
}

/// Every group that a case declares, for publishers that must know them all.
pub const GROUPS: &str = "g,group-0,group-1,group-2,late,reader";

/// The set-up of the backend with that URL scheme. One that is not known here is taken as it is, as a server.
pub fn tuning(scheme: &str) -> Tuning {
    // Missing topics are to be refused, which is not every backend's default.
    const CHECK: &[(&str, &str)] = &[("topology", "check")];
    let server = |process, parameters, impatient| Tuning {
        parameters,
        impatient,
        process: Some(process),
        shared: true,
    };
    match scheme {
        "memory" => Tuning { parameters: CHECK, ..Tuning::default() },
        "sqlite" => Tuning { parameters: CHECK, shared: true, ..Tuning::default() },
        // A killed member is noticed after 6 s and not after 10 or 45.
        "kafka" | "kafka+ssl" => server("kafka", &[("x.session.timeout.ms", "6000")], ""),
        "nats" | "tls" => server("nats", &[("session_timeout", "6s")], "ping_interval=2s"),
        "nats+core" => server("nats", &[], "ping_interval=2s"),
        "amqp" | "amqps" => server("rabbitmq", &[], "heartbeat=3s"),
        "pulsar" | "pulsar+ssl" => server("pulsar", &[], "keep_alive=2s"),
        // A killed member's messages come again after 15 s and not after 30.
        "sqs" => server("elasticmq", &[("visibility", "15s"), ("wait", "2s")], ""),
        _ => Tuning { shared: true, ..Tuning::default() },
    }
}

/// Why a restart of one of the starter's brokers loses what was confirmed, where that is its way and not that of what it
/// stands for.
pub fn volatile(process: &str) -> Option<&'static str> {
    (process == "elasticmq")
        .then_some("ElasticMQ keeps its messages in memory, and a restart loses them by design")
}

/// The parameters that a URL gets for a run: those of its backend that it does not set itself.
pub fn added(url: &BrokerUrl) -> Vec<String> {
    let mut parameters = url.parameters();
    let mut has = |name: &'static str| parameters.text(name).is_some();
    let own = tuning(&url.scheme).parameters.iter();
    let mut added: Vec<_> = own
        // A lease that is not extended for longer than its limit takes the place of the visibility timeout.
        .filter(|(name, _)| !(has(name) || *name == "visibility" && has("lease_limit")))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    if has("fan_out") && !has("groups") {
        added.push(format!("groups={GROUPS}"));
    }
    added
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added_to(url: &str) -> String {
        added(&url.parse().unwrap()).join("&")
    }

    #[test]
    fn what_the_user_sets_stays() {
        assert_eq!(added_to("kafka://h:9092"), "x.session.timeout.ms=6000");
        assert_eq!(added_to("kafka://h:9092?x.session.timeout.ms=9000"), "");
        assert_eq!(added_to("memory://m?topology=create"), "");
        assert_eq!(added_to("sqs://r?endpoint=http://127.0.0.1:1&wait=1s"), "visibility=15s");
        assert_eq!(added_to("sqs://r?lease_limit=1s&wait=1s"), "");
        assert!(added_to("sqs://r?fan_out=publisher").contains("groups=g,group-0"));
        assert_eq!(added_to("own://r"), "");
    }
}
