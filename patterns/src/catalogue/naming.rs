//! Whether an event is named like a command.
//!
//! Events are facts: `order.placed`, not `order.place` or `PlaceOrder`. The name is split at dots and the like and into its
//! words. One that has a past participle anywhere is a fact. Otherwise it is a command if its last part is two words or
//! more and begins with a verb (`PlaceOrder`, `orders.send-email`), or is one word that is hardly ever a noun
//! (`order.cancel`). Words that are verb and noun alike (`order`, `update`, `payment.request`) count only at the beginning
//! of two, and what is in neither list is left alone.

/// Verbs that begin a command.
const LEADING: [&str; 54] = [
    "accept",
    "activate",
    "add",
    "allocate",
    "approve",
    "archive",
    "assign",
    "authorize",
    "book",
    "calculate",
    "cancel",
    "capture",
    "change",
    "charge",
    "close",
    "complete",
    "confirm",
    "create",
    "delete",
    "deliver",
    "disable",
    "enable",
    "execute",
    "generate",
    "get",
    "handle",
    "import",
    "issue",
    "make",
    "notify",
    "open",
    "pay",
    "place",
    "prepare",
    "process",
    "publish",
    "refund",
    "register",
    "reject",
    "release",
    "remove",
    "rename",
    "reserve",
    "run",
    "schedule",
    "send",
    "set",
    "ship",
    "start",
    "stop",
    "submit",
    "take",
    "update",
    "validate",
];
/// Those of them that alone are nouns as well, or say nothing.
const NOT_ALONE: [&str; 22] = [
    "archive", "book", "capture", "change", "charge", "close", "get", "import", "issue", "open", "process",
    "refund", "release", "reserve", "run", "schedule", "set", "ship", "start", "stop", "take", "update",
];
/// Participles that do not end in `ed`.
const IRREGULAR: [&str; 38] = [
    "begun",
    "bought",
    "broken",
    "brought",
    "built",
    "chosen",
    "done",
    "drawn",
    "driven",
    "fallen",
    "forgotten",
    "found",
    "frozen",
    "given",
    "gone",
    "grown",
    "held",
    "hidden",
    "kept",
    "left",
    "lent",
    "lost",
    "made",
    "met",
    "overdue",
    "overdrawn",
    "paid",
    "risen",
    "seen",
    "sent",
    "shown",
    "sold",
    "spent",
    "stolen",
    "taken",
    "told",
    "withdrawn",
    "won",
];
/// Words that only look like a participle.
const NO_PARTICIPLE: [&str; 9] =
    ["bed", "embed", "exceed", "feed", "need", "proceed", "red", "seed", "speed"];

/// Whether the name is an imperative, as far as its words tell.
pub(super) fn is_imperative(event_type: &str) -> bool {
    let parts: Vec<Vec<String>> = event_type
        .split(['.', '/', ':'])
        .map(words)
        .filter(|words| !words.is_empty() && !is_version(words))
        .collect();
    if parts.iter().flatten().any(|word| is_participle(word)) {
        return false;
    }
    let Some([first, rest @ ..]) = parts.last().map(Vec::as_slice) else { return false };
    let first = first.as_str();
    LEADING.contains(&first) && (!rest.is_empty() || !NOT_ALONE.contains(&first))
}

fn is_participle(word: &str) -> bool {
    IRREGULAR.contains(&word) || (word.len() > 3 && word.ends_with("ed") && !NO_PARTICIPLE.contains(&word))
}

/// `v1`, `2`.
fn is_version(words: &[String]) -> bool {
    matches!(words, [word] if word.trim_start_matches('v').chars().all(|c| c.is_ascii_digit()))
}

/// The words of `PlaceOrder`, `place-order`, `place_order`.
fn words(part: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower_before = false;
    for c in part.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && lower_before) {
            words.push(String::new());
        }
        lower_before = c.is_lowercase();
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_from_facts() {
        let commands = [
            "order.place",
            "PlaceOrder",
            "SendEmail",
            "shop.orders.send-email",
            "order.cancel",
            "com.shop.CancelOrder.v1",
            "update_price",
            "customer/create",
            "ProcessPayment",
        ];
        for name in commands {
            assert!(is_imperative(name), "{name}");
        }
        let facts = [
            "order.placed",
            "OrderPlaced",
            "payment.taken",
            "EmailSent",
            "clicked",
            "com.shop.OrderCancelled.v2",
            "price.update",
            "orders",
            "payment.request",
            "order",
            "stock.low",
            "InvoiceOverdue",
            "shipment.left-depot",
            "send.failed",
            "heartbeat",
            "sensor.reading",
            "place.visited",
            "news.feed",
            "",
            "v1",
            "market.open",
        ];
        for name in facts {
            assert!(!is_imperative(name), "{name}");
        }
    }
}
