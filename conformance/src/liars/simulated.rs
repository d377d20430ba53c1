//! Liars about transactions (P15). The in-memory broker has none, so these are no brokers: they are histories of a
//! simulated transactional log that reads, processes and writes, each broken in one way; and the report says so.

use std::collections::BTreeMap;

use super::matrix::{Row, judge};
use crate::history::{
    HistoryError, Lease, LossPromise, Nothing, Order, OrderScope, Outcome, Position, Promises, SettleVerdict,
    Sketch, Start,
};
use crate::properties::{Property, Verdict, check};

/// What the log does with every fifth transaction of the kind that it is about.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lie {
    Nothing,
    ShowsWhatWasAborted,
    Tears,
    ShowsBeforeTheCommit,
    KeepsOffsetsOfAborted,
    ForgetsOffsetsOfCommitted,
}

struct Simulated {
    name: &'static str,
    about: &'static str,
    lie: Lie,
    consequences: &'static [(Property, &'static str)],
}

const LIARS: &[Simulated] = &[
    Simulated {
        name: "shows-what-was-aborted",
        about: "delivers a record of an aborted transaction",
        lie: Lie::ShowsWhatWasAborted,
        consequences: &[],
    },
    Simulated {
        name: "tears-a-transaction",
        about: "delivers one record of a committed transaction, and not the other",
        lie: Lie::Tears,
        consequences: &[
            (Property::P3, "the other record was committed, and is lost once drained"),
            (Property::P3p, "a log that goes on has skipped the other record"),
        ],
    },
    Simulated {
        name: "shows-before-the-commit",
        about: "delivers a record before its transaction is committed",
        lie: Lie::ShowsBeforeTheCommit,
        consequences: &[],
    },
    Simulated {
        name: "keeps-offsets-of-aborted-ones",
        about: "takes the input of an aborted transaction for done",
        lie: Lie::KeepsOffsetsOfAborted,
        consequences: &[(Property::P3, "what was only acknowledged in an aborted transaction is lost")],
    },
    Simulated {
        name: "forgets-offsets-of-committed-ones",
        about: "delivers the input of a committed transaction again",
        lie: Lie::ForgetsOffsetsOfCommitted,
        consequences: &[
            (Property::P6, "a committed acknowledgement is no cause to deliver again"),
            (Property::P6b, "a committed acknowledgement is final"),
            (Property::P16, "the log goes back to it without a cause"),
        ],
    },
];

/// The rows of the simulated liars, and whether the honest log was accused.
pub(super) fn rows(only: &str) -> Result<(Vec<Row>, bool), HistoryError> {
    let mut rows = Vec::new();
    for liar in LIARS.iter().filter(|liar| liar.name.contains(only)) {
        rows.push(liar.row(broken(liar.lie)?));
    }
    Ok((rows, !broken(Lie::Nothing)?.is_empty()))
}

impl Simulated {
    fn row(&self, found: BTreeMap<Property, String>) -> Row {
        let name = |property: &Property| property.name().to_owned();
        let root = Property::P15.name().to_owned();
        let consequences: Vec<_> = self.consequences.iter().map(|(it, _)| name(it)).collect();
        let reported: Vec<_> = found.keys().map(name).collect();
        Row {
            name: self.name.to_owned(),
            about: self.about.to_owned(),
            verdict: judge(&root, &consequences, &reported),
            root,
            consequences,
            because: self.consequences.iter().map(|(_, because)| (*because).to_owned()).collect(),
            simulated: true,
            reported,
            shown: found.into_values().collect(),
            cases: vec!["simulated".to_owned()],
        }
    }
}

/// The properties that a history violates, each with its first counterexample.
fn broken(lie: Lie) -> Result<BTreeMap<Property, String>, HistoryError> {
    let report = check(&history(lie).read()?);
    let broken = report.properties.into_iter().filter(|(_, finding)| finding.verdict == Verdict::Violation);
    let first = |finding: crate::properties::Finding| {
        finding.violations.into_iter().next().map(|it| it.explanation).unwrap_or_default()
    };
    Ok(broken.map(|(property, finding)| (property, first(finding))).collect())
}

fn promises() -> Promises {
    let nothing = Some(Nothing {});
    Promises {
        p1: nothing,
        p3: Some(LossPromise::default()),
        p3p: nothing,
        p6: Some(Lease { lease_ms: None }),
        p6b: nothing,
        p7: Some(Order { scope: OrderScope::Key }),
        p15: nothing,
        p16: Some(Default::default()),
        ..Promises::default()
    }
}

/// Fifty transactions, each of which reads one message and writes two; every third is aborted, and tried again.
fn history(lie: Lie) -> Sketch {
    let sketch = Sketch::new(promises()).open_as("s", |open| open.start = Start::Earliest);
    let mut log = Log { sketch, lie, end: 0, deliveries: 0 };
    for number in 0..50 {
        log.transaction(number);
    }
    log.sketch.drained_as("g", "t")
}

struct Log {
    sketch: Sketch,
    lie: Lie,
    /// The offset of the next record.
    end: u64,
    deliveries: u64,
}

impl Log {
    fn record(&mut self, record: impl FnOnce(Sketch) -> Sketch) {
        let sketch = std::mem::replace(&mut self.sketch, Sketch::new(Promises::default()));
        self.sketch = record(sketch);
    }

    fn transaction(&mut self, number: u64) {
        let (x, input) = (format!("x{number}"), format!("in{number}"));
        let aborts = number % 3 == 2;
        let lies = |lie: Lie| self.lie == lie && number % 5 == 2;
        let (aborted, torn, early) =
            (lies(Lie::ShowsWhatWasAborted), lies(Lie::Tears), lies(Lie::ShowsBeforeTheCommit));
        let (kept, forgotten) = (lies(Lie::KeepsOffsetsOfAborted), lies(Lie::ForgetsOffsetsOfCommitted));
        let at = self.publish_input(&input);
        let read = self.deliver(&input, at);
        let outputs = self.write(&x, &read, number);
        let from = self.end;
        if early && !aborts {
            self.deliver_and_ack(&outputs[0], from);
        }
        self.finish(&x, aborts);
        match aborts {
            true if aborted => self.deliver_and_ack(&outputs[0], from),
            true => {}
            false => self.show(&outputs, from, early, torn),
        }
        if aborts && !kept || !aborts && forgotten {
            self.deliver_and_ack(&input, at);
        }
        self.end += 2;
    }

    fn publish_input(&mut self, m: &str) -> u64 {
        let at = self.end;
        self.end += 1;
        self.record(|it| it.publish(m).ok_at(m, at));
        at
    }

    /// Publishes two records and settles the input, in a transaction.
    fn write(&mut self, x: &str, read: &str, number: u64) -> [String; 2] {
        self.record(|it| it.begin(x));
        let outputs = [format!("out{number}-0"), format!("out{number}-1")];
        for m in &outputs {
            let inside = |it: Sketch| {
                it.publish_as(m, |publish| {
                    publish.publisher = "transactions".into();
                    publish.transaction = Some(x.to_owned().into());
                })
            };
            self.record(inside);
        }
        self.record(|it| {
            it.settle_as(read, SettleVerdict::Ack, |it| it.transaction = Some(x.to_owned().into()))
        });
        outputs
    }

    fn finish(&mut self, x: &str, aborts: bool) {
        self.record(|it| {
            let it = if aborts { it.abort(x) } else { it.commit(x) };
            it.transaction_end(x, Outcome::Ok)
        });
    }

    /// Delivers what was committed, as far as the lie goes.
    fn show(&mut self, outputs: &[String; 2], from: u64, early: bool, torn: bool) {
        if !early {
            self.deliver_and_ack(&outputs[0], from);
        }
        if !torn {
            self.deliver_and_ack(&outputs[1], from + 1);
        }
    }

    fn deliver(&mut self, m: &str, offset: u64) -> String {
        self.deliveries += 1;
        let d = format!("d{}", self.deliveries);
        self.record(|it| {
            it.deliver_as(&d, m, "s", |it| it.position = Some(Position { partition: 0, offset }))
        });
        d
    }

    fn deliver_and_ack(&mut self, m: &str, offset: u64) {
        let d = self.deliver(m, offset);
        self.record(|it| it.ack(&d).settled(&d, Outcome::Ok));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_honest_without_a_lie() {
        assert_eq!(broken(Lie::Nothing).unwrap(), BTreeMap::new());
    }
}
