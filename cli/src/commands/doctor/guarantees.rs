//! What is guaranteed, at a glance: what is unknown, and what is weaker than services usually build on.

use anybroker::{Broker, Diagnosis, Finding, Guarantees, Kind, Requirements, Topic};

use super::report::Report;
use super::waiting;
use crate::failure::Failure;

/// What most event-driven services assume without saying so.
const USUAL: &str = "ordering=key,order-after-redelivery=yes,order-across-consumers=yes,\
                     order-after-member-death=yes,delivery=at-least-once,publish-confirmation=confirmed,\
                     durability-on-confirm=page-cache,dead-letter=at-least-once,fan-out=groups";

/// Asks for the guarantees and judges them; says which server it is, where that is told.
pub(super) async fn look(
    broker: &Broker,
    topic: Option<&Topic>,
    report: &mut Report,
) -> Result<Option<String>, Failure> {
    match waiting("guarantees", broker.guarantees(topic, None)).await {
        Ok(given) => {
            judge(&given)?.into_iter().try_for_each(|found| report.add(found))?;
            return Ok(given.version.map(|version| format!("{} {version}", given.backend)));
        }
        Err(error) if error.kind() == Kind::NotFound => {
            // The diagnosis says that the topic is missing, and what to do.
            report.add(Diagnosis::new("guarantees", Finding::Unknown, "there is no such topic to ask about"))
        }
        Err(error) => report.fail("guarantees", &error),
    }?;
    Ok(None)
}

fn judge(given: &Guarantees) -> Result<Vec<Diagnosis>, Failure> {
    let usual: Requirements = USUAL.parse()?;
    let (mut found, mut unknown) = (Vec::new(), Vec::new());
    for unmet in usual.unmet(given) {
        if unmet.basis == anybroker::Basis::Unknown {
            unknown.push(unmet);
            continue;
        }
        let text =
            format!("{} is only {}, where services often assume {}", unmet.name, unmet.given, unmet.needed);
        let raise =
            unmet.raise.unwrap_or_else(|| "nothing on this broker: build on what it gives".to_owned());
        found.push(Diagnosis::new("guarantees", Finding::Warning, text).advice(raise));
    }
    if !unknown.is_empty() {
        let names: Vec<_> = unknown.iter().map(|unmet| unmet.name.clone()).collect();
        let raise = unknown.into_iter().find_map(|unmet| unmet.raise);
        let raise = raise.unwrap_or_else(|| "--topic T asks about that topic's configuration".to_owned());
        let text = format!("not known: {}", names.join(", "));
        found.push(Diagnosis::new("guarantees", Finding::Unknown, text).advice(raise));
    }
    if found.iter().all(|found| found.subject != "guarantees") {
        let text = "all that services usually build on; anybroker guarantees URL has the whole table";
        found.push(Diagnosis::new("guarantees", Finding::Fine, text));
    }
    Ok(found)
}
