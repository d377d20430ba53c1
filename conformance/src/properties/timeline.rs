//! Says in words what stands on the lines of the listed violations.

use std::collections::HashMap;

use super::report::{Actor, Report, Step, Way};
use crate::history::{At, Delivery, History, Message, MessageId, SettleVerdict};

/// Adds to every listed violation what stands on its lines.
pub(crate) fn draw(history: &History, report: &mut Report) {
    let mut steps = HashMap::new();
    let violations = || report.properties.values().flat_map(|finding| &finding.violations);
    for line in violations().flat_map(|violation| &violation.lines) {
        steps.insert(*line, None);
    }
    if !steps.is_empty() {
        describe(history, &mut |at, told: &dyn Fn() -> Told| {
            if let Some(step) = steps.get_mut(&history.line(at)) {
                *step = Some(told().on(history.line(at), history.time(at)));
            }
        });
    }
    for violation in report.properties.values_mut().flat_map(|finding| &mut finding.violations) {
        let known = violation.lines.iter().filter_map(|line| steps.get(line).cloned().flatten());
        violation.timeline = known.collect();
    }
}

/// What an event says.
struct Told {
    actor: Actor,
    way: Way,
    message: Option<String>,
    text: String,
}

impl Told {
    /// Something that happens to an actor itself.
    fn at(actor: Actor, text: String) -> Self {
        Told { actor, way: Way::At, message: None, text }
    }

    fn on(self, line: u64, time: u64) -> Step {
        Step { line, time, actor: self.actor, way: self.way, message: self.message, text: self.text }
    }
}

type Visit<'a> = &'a mut dyn FnMut(At, &dyn Fn() -> Told);

/// Visits every event that a violation can name.
fn describe(history: &History, visit: Visit<'_>) {
    for (id, message, publish) in history.published() {
        publishing(history, id, message, publish, visit);
    }
    for delivery in history.even_phantoms() {
        delivering(history, delivery, visit);
    }
    for session in history.all_sessions() {
        let consumer = history.name(session.consumer);
        let actor = || Actor::Consumer(consumer.to_owned());
        let group = history.name(history.group(session.group).name);
        visit(session.opened, &|| Told::at(actor(), format!("{consumer} opens a session of group {group}")));
        if let Some((at, cause)) = session.closed {
            let text = || format!("the session of {consumer} ends ({})", format!("{cause:?}").to_lowercase());
            visit(at, &|| Told::at(actor(), text()));
        }
    }
    for (_, group) in history.all_groups() {
        let name = history.name(group.name);
        optionally(group.drained, visit, &|| Told::at(Actor::Broker, format!("group {name} is drained")));
    }
    for fault in history.faults() {
        let (kind, target) = (history.name(fault.kind), history.name(fault.target));
        visit(fault.at, &|| Told::at(Actor::Broker, format!("fault: {kind} {target}")));
    }
    for (_, transaction) in history.all_transactions() {
        let id = history.name(transaction.id);
        let told = |text: &str| Told::at(Actor::Broker, format!("transaction {id}{text}"));
        visit(transaction.begin, &|| told(" begins"));
        optionally(transaction.commit, visit, &|| told(": commit"));
        optionally(transaction.abort, visit, &|| told(": abort"));
        let outcome = transaction.outcome;
        optionally(transaction.end, visit, &|| told(&format!(" ended{}", word(outcome))));
    }
}

/// Visits an event that need not have happened.
fn optionally(at: Option<At>, visit: Visit<'_>, told: &dyn Fn() -> Told) {
    if let Some(at) = at {
        visit(at, told);
    }
}

fn publishing(history: &History, id: MessageId, message: &Message, publish: At, visit: Visit<'_>) {
    let name = history.message_id(id);
    let publisher = history.name(message.publisher);
    let told = |way, text| {
        let actor = Actor::Publisher(publisher.to_owned());
        Told { actor, way, message: Some(name.to_owned()), text }
    };
    let key = message.key.map_or(String::new(), |key| format!(", key {}", history.name(key)));
    visit(publish, &|| told(Way::ToBroker, format!("{publisher} publishes {name}{key}")));
    if let Some(at) = message.published {
        let duplicate = if message.duplicate { ", a duplicate" } else { "" };
        let text = || format!("{name} published{}{duplicate}", word(message.outcome));
        visit(at, &|| told(Way::FromBroker, text()));
    }
}

fn delivering(history: &History, delivery: &Delivery, visit: Visit<'_>) {
    let name = history.message_id(delivery.message);
    let session = history.session(delivery.session);
    let consumer = history.name(session.consumer);
    let told = |way, text| {
        let actor = Actor::Consumer(consumer.to_owned());
        Told { actor, way, message: Some(name.to_owned()), text }
    };
    let text = || format!("{name} delivered to {consumer}{}", marks(delivery));
    visit(delivery.at, &|| told(Way::FromBroker, text()));
    if let Some((at, verdict)) = delivery.settle.zip(delivery.verdict) {
        let verdict = match verdict {
            SettleVerdict::Ack => "acknowledges",
            SettleVerdict::Nack => "negatively acknowledges",
            SettleVerdict::DeadLetter => "dead-letters",
            SettleVerdict::Release => "releases",
        };
        visit(at, &|| told(Way::ToBroker, format!("{consumer} {verdict} {name}")));
    }
    if let Some(at) = delivery.settled {
        visit(at, &|| told(Way::FromBroker, format!("{name} settled{}", word(delivery.outcome))));
    }
}

fn marks(delivery: &Delivery) -> String {
    let mut marks = String::new();
    if let Some(position) = delivery.position() {
        marks += &format!(" from {}:{}", position.partition, position.offset);
    }
    if delivery.redelivered {
        marks += ", redelivered";
    }
    if delivery.attempt > 0 {
        marks += &format!(", attempt {}", delivery.attempt);
    }
    if delivery.dead_letter {
        marks += ", a dead letter";
    }
    marks
}

fn word(outcome: Option<crate::history::Outcome>) -> String {
    outcome.map_or(String::new(), |outcome| format!(": {outcome:?}").to_lowercase())
}
