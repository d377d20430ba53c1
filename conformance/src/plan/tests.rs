use std::collections::BTreeSet;
use std::time::Duration;

use anybroker_core::{Basis, Guarantees, Level, Limits, Row};

use super::*;
use crate::cases::{CASES, DISTURBING};

/// Cases that hold whatever a backend guarantees: the contract of the interface itself.
const UNIVERSAL: &[&str] = &[
    "round_trip",
    "empty_payload",
    "payloads_of_many_kinds",
    "fifty_tasks_share_a_publisher",
    "one_publishes_another_consumes",
    "empty_receive_can_be_given_up",
    "many_topics_at_once",
    "use_after_close",
    "everything_closes_at_once",
    "requirements_are_checked",
    "missing_topic",
    "different_topology",
    "requests_and_replies",
    "random_workloads",
    "random_workloads_with_faults",
];

fn cases() -> BTreeSet<&'static str> {
    CASES.iter().chain(DISTURBING).map(|case| case.name).collect()
}

fn named() -> BTreeSet<&'static str> {
    let name = |proof: &Proof| match proof {
        Proof::Case(name) | Proof::Witness(name) => Some(*name),
        Proof::Property(_) | Proof::Stated(_) => None,
    };
    all().iter().flat_map(|row| row.proofs).filter_map(name).collect()
}

fn properties(rows: &[super::Row]) -> BTreeSet<Property> {
    let property = |proof: &Proof| match proof {
        Proof::Property(property) => Some(*property),
        Proof::Case(_) | Proof::Witness(_) | Proof::Stated(_) => None,
    };
    rows.iter().flat_map(|row| row.proofs).filter_map(property).collect()
}

#[test]
fn every_case_that_is_named_exists() {
    let cases = cases();
    let missing: Vec<_> = named().into_iter().filter(|name| !cases.contains(name)).collect();
    assert!(missing.is_empty(), "no such case: {missing:?}");
}

#[test]
fn every_case_proves_something() {
    let named = named();
    let idle: Vec<_> =
        cases().into_iter().filter(|case| !named.contains(case) && !UNIVERSAL.contains(case)).collect();
    assert!(idle.is_empty(), "no row names {idle:?}");
    let both: Vec<_> = UNIVERSAL.iter().filter(|case| named.contains(*case)).collect();
    assert!(both.is_empty(), "universal, and named by a row: {both:?}");
}

#[test]
fn every_property_proves_something() {
    assert_eq!(properties(&all()), Property::ALL.iter().copied().collect());
}

/// Whatever one row is raised to, nothing is promised that no row is proved by.
#[test]
fn what_is_promised_proves_a_row() {
    for guarantees in one_row_raised() {
        let (rows, promised) = (of(&guarantees), promised(&guarantees).collect::<BTreeSet<_>>());
        // A window is the subscription's, whatever the rows say.
        let proved = properties(&rows).into_iter().chain([Property::P13]).collect();
        assert!(promised.is_subset(&proved), "{promised:?} promised, {proved:?} proved by {rows:#?}");
    }
}

/// With everything at its strongest, every property is promised that proves a row.
#[test]
fn what_proves_a_row_is_promised() {
    let strongest = strongest();
    let mut proved = properties(&of(&strongest));
    // Not promised beside exactly once.
    proved.remove(&Property::P4);
    assert_eq!(promised(&strongest).collect::<BTreeSet<_>>(), proved);
}

fn row<T: Level>(value: T) -> Row<T> {
    Row::new(value, Basis::Documented, "https://example.org")
}

fn extreme<T: Level>(strongest: bool) -> Row<T> {
    row(if strongest { T::ALL[T::ALL.len() - 1] } else { T::ALL[0] })
}

macro_rules! guarantees {
    ($($field:ident)+) => {
        fn all_at(strongest: bool, limits: Limits) -> Guarantees {
            Guarantees { backend: "test", version: None, $($field: extreme(strongest),)+ limits }
        }

        fn one_row_raised() -> Vec<Guarantees> {
            let weakest = all_at(false, Limits::default());
            let mut all = vec![weakest.clone()];
            $(all.extend(levels(&weakest.$field).into_iter().map(|$field| Guarantees { $field, ..weakest.clone() }));)+
            all
        }
    };
}

guarantees! {
    ordering order_after_redelivery order_across_consumers order_after_member_death order_after_failed_publish
    delivery unsubscribed_publish publish_confirmation durability_on_confirm acknowledgement settlement redelivery
    exclusivity deduplication dead_letter fan_out replay lease delay transactions
}

fn levels<T: Level>(_: &Row<T>) -> Vec<Row<T>> {
    T::ALL.iter().map(|value| row(*value)).collect()
}

fn strongest() -> Guarantees {
    let limits = Limits {
        message_bytes: Some(1),
        batch: Some(1),
        in_flight: Some(1),
        deduplication_window: Some(Duration::from_secs(1)),
        lease: Some(Duration::from_secs(1)),
    };
    all_at(true, limits)
}
