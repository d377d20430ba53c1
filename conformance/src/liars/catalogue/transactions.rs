//! Brokers that tear transactions: P15.

use super::super::liar::Liar;
use super::super::lie::Count;
use super::super::tell::tampers;
use super::super::transactions::Tampering;
use crate::properties::Property::*;

/// Every so many transactions.
const OFTEN: u64 = 2;

macro_rules! tampers {
    ($tampering:ident) => {
        || {
            let count = Count::default();
            tampers(move || if count.every(OFTEN) { Tampering::$tampering } else { Tampering::Nothing })
        }
    };
}

pub(super) fn liars() -> Vec<Liar> {
    let all = vec![
        Liar::new(
            "shows-what-was-aborted",
            P15,
            "delivers a record of an aborted transaction",
            tampers!(ShowsOneOfAborted),
        ),
        Liar::new(
            "tears-a-transaction",
            P15,
            "delivers all records of a committed transaction but one",
            tampers!(LeavesOneOut),
        )
        .implies(&[
            (P3, "the other record was committed, and is lost once drained"),
            (P3p, "a log that goes on has skipped the other record"),
        ]),
        Liar::new(
            "shows-before-the-commit",
            P15,
            "delivers a record before its transaction is committed",
            tampers!(ShowsOne),
        ),
        Liar::new(
            "keeps-offsets-of-aborted-ones",
            P15,
            "takes the inputs of an aborted transaction for done",
            tampers!(KeepsOffsets),
        )
        .implies(&[(P3, "what was only acknowledged in an aborted transaction is lost")]),
        Liar::new(
            "forgets-offsets-of-committed-ones",
            P15,
            "delivers the inputs of a committed transaction again",
            tampers!(ForgetsOffsets),
        )
        .implies(&[
            (P6, "a committed acknowledgement is no cause to deliver again"),
            (P6b, "a committed acknowledgement is final"),
            (P9, "what it delivers again it does not count"),
            (P16, "the log goes back to it without a cause"),
        ]),
    ];
    all.into_iter().map(|liar| liar.or_needs(&["transactions_are_atomic"])).collect()
}
