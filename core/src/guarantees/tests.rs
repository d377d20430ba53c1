use super::*;

/// Every row at its weakest and documented.
pub(crate) fn weakest() -> Guarantees {
    fn row<T: Level>() -> Row<T> {
        Row::new(T::ALL[0], Basis::Documented, "https://example.org")
    }
    Guarantees {
        backend: "test",
        version: None,
        ordering: row(),
        order_after_redelivery: row(),
        order_across_consumers: row(),
        order_after_member_death: row(),
        order_after_failed_publish: row(),
        delivery: row(),
        unsubscribed_publish: row(),
        publish_confirmation: row(),
        durability_on_confirm: row(),
        acknowledgement: row(),
        settlement: row(),
        redelivery: row(),
        exclusivity: row(),
        deduplication: row(),
        dead_letter: row(),
        fan_out: row(),
        replay: row(),
        lease: row(),
        delay: row(),
        transactions: row(),
        limits: Limits::default(),
    }
}

#[test]
fn a_refusal_names_the_row_and_what_would_satisfy_it() {
    let mut given = weakest();
    given.ordering = given.ordering.raise("add partitions=8 to the URL");
    let needs: Requirements = "ordering=key,order-across-consumers=yes".parse().unwrap();
    let text = needs.verify(&given, "amqp://h").unwrap_err().to_string();
    for part in ["amqp://h", "ordering", "key", "none", "partitions=8", "order-across-consumers", "https://"]
    {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn an_unknown_row_is_unmet() {
    let mut given = weakest();
    given.ordering = Row { value: Scope::Total, basis: Basis::Unknown, ..given.ordering };
    assert_eq!(Requirements::new().ordering(Scope::Key).unmet(&given).len(), 1);
    assert_eq!(Requirements::new().ordering(Scope::None).unmet(&given).len(), 0);
}

#[test]
fn order_scopes_are_no_ladder() {
    assert!(Scope::Partition.satisfies(Scope::Key));
    assert!(Scope::Total.satisfies(Scope::Publisher));
    assert!(!Scope::Key.satisfies(Scope::Publisher));
    assert!(!Scope::Queue.satisfies(Scope::Partition));
    assert!(!Durability::Replicated.satisfies(Durability::Fsync));
    assert!(!DeliveryLevel::AtLeastOnce.satisfies(DeliveryLevel::AtMostOnce));
}

#[test]
fn mistakes_in_requirements_list_the_choices() {
    let text = "ordering=keys".parse::<Requirements>().unwrap_err().to_string();
    assert!(text.contains("partition, queue"), "{text}");
    let text = "odering=key".parse::<Requirements>().unwrap_err().to_string();
    assert!(text.contains("order-after-redelivery"), "{text}");
}
