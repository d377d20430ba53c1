//! What the server says that the user may not do.

/// What a user needs a permission for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Publish,
    Subscribe,
}

/// Whether an error of the server's is about permissions.
pub(crate) fn is_violation(text: &str) -> bool {
    text.to_lowercase().contains("permissions violation")
}

/// What such an error forbids, and for which subject: `Permissions Violation for Publish to "orders.3"`, `Permissions Violation
/// for Subscription to "orders" using queue "billing"`.
pub(crate) fn forbidden(text: &str) -> Option<(Action, &str)> {
    let (said, rest) = text.split_once('"')?;
    let (subject, _) = rest.split_once('"')?;
    let said = said.to_lowercase();
    match said.trim_end().rsplit_once(" for ")?.1 {
        "publish to" => Some((Action::Publish, subject)),
        "subscription to" => Some((Action::Subscribe, subject)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_words_are_read() {
        for (text, expected) in [
            ("Permissions Violation for Publish to \"orders.3\"", Some((Action::Publish, "orders.3"))),
            ("permissions violation for publish to \"a\"", Some((Action::Publish, "a"))),
            (
                "Permissions Violation for Subscription to \"orders\" using queue \"billing\"",
                Some((Action::Subscribe, "orders")),
            ),
            ("Permissions Violation for Publish with Reply of \"_INBOX.x\"", None),
            ("Permissions Violation", None),
        ] {
            assert_eq!(forbidden(text), expected, "{text}");
            assert!(is_violation(text));
        }
        assert!(!is_violation("Authorization Violation"));
    }
}
