//! The README's table of what is kept.

use serde_json::Value;

/// The brokers, in the order of the table, with what hand-written code must do to give what anybroker gives: say ids, look at
/// them, leave the order to several members. Named for publishing, and for consuming.
const BROKERS: [(&str, &str, &str, &str); 6] = [
    ("kafka", "Kafka", "ThreadedProducer / C batches, ids", "ThreadedProducer / C batches, ids"),
    ("RabbitMQ", "RabbitMQ", "futures at once / ack multiple, ids", "futures at once / ack multiple, ids"),
    ("NATS JetStream", "JetStream", "own inbox, with ids", "a consumer for each partition"),
    ("core NATS", "core NATS", "echo each 1,000, ids", "echo each 1,000, ids"),
    ("SQS FIFO", "SQS FIFO", "batches of ten, ids", "batches of ten, ids"),
    ("Pulsar", "Pulsar", "an entry each, ids", "an entry each / ack each"),
];

/// The columns beside those by hand: a contender, and its heading.
const OURS: [&str; 2] = ["anybroker, batches", "anybroker, natural"];
const PEERS: [&str; 3] = ["ruststream", "mq-bridge", "sea-streamer"];

const OPERATIONS: [(&str, &str); 3] =
    [("publish", "publish"), ("consume", "consume"), ("through", "publish and consume")];

/// Of all documents, those of brokers that are not among them left out.
///
/// # Errors
/// Nothing is kept.
pub(super) fn table(documents: &[Value]) -> Result<String, String> {
    let mut lines = vec![
        format!(
            "| | {} | by hand, promising the same | {} | best by hand |",
            OURS.join(" | "),
            PEERS.join(" | ")
        ),
        "|---|---|---|---|---|---|---|---|".to_owned(),
    ];
    let of = |broker: &str| documents.iter().find(|it| it["broker"] == broker);
    for broker in &BROKERS {
        lines.extend(of(broker.0).into_iter().flat_map(|document| lines_of(broker, document)));
    }
    let first = documents.first().ok_or("docs/bench has nothing")?;
    let rows: Vec<_> = documents.iter().flat_map(rows).collect();
    Ok(format!("{}\n\n{}\n", about(&first["machine"], &rows), lines.join("\n")))
}

fn rows(document: &Value) -> impl Iterator<Item = &Value> {
    document["rows"].as_array().into_iter().flatten()
}

fn lines_of(broker: &(&str, &str, &str, &str), document: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for (operation, said) in OPERATIONS {
        let equal = if operation == "publish" { broker.2 } else { broker.3 };
        for size in [128, 1_024] {
            let of: Vec<_> =
                rows(document).filter(|it| it["operation"] == operation && it["size"] == size).collect();
            if let Some(cells) = cells(&of, equal) {
                let size = if size == 128 { "128 B" } else { "1 KiB" };
                lines.push(format!("| {}, {said}, {size} | {cells} |", broker.1));
            }
        }
    }
    lines
}

/// None if nothing was measured by hand.
fn cells(rows: &[&Value], equal: &str) -> Option<String> {
    let find = |name: &str| rows.iter().find(|it| it["contender"] == name).copied();
    let best = rows.iter().find_map(|it| it["against_best"]["best"].as_str()).and_then(find)?;
    let names = OURS.iter().chain([&equal]).chain(&PEERS);
    let cells: Vec<_> = names.map(|name| find(name).map_or("–".to_owned(), cell)).collect();
    let thousands = best["per_second"]["median"].as_f64().unwrap_or_default() / 1_000.0;
    let name = best["contender"].as_str().unwrap_or_default();
    Some(format!("{} | {thousands:.0} thousand a second, {}: {name}", cells.join(" | "), micros(best)))
}

/// Throughput to the best by hand of the same rounds, and the client's processor time.
fn cell(row: &Value) -> String {
    if !row["failure"].is_null() {
        return "failed".to_owned();
    }
    // The best itself is compared with nothing.
    let throughput = row["against_best"]["throughput"]["median"].as_f64().unwrap_or(1.0);
    format!("{throughput:.2}, {}", micros(row))
}

fn micros(row: &Value) -> String {
    row["cpu"]["median"].as_f64().map_or("–".to_owned(), |micros| format!("{micros:.1} µs"))
}

fn about(machine: &Value, rows: &[&Value]) -> String {
    let day = |row: &&Value| row["date"].as_str().unwrap_or_default().chars().take(10).collect::<String>();
    let (first, last) = (rows.iter().map(day).min(), rows.iter().map(day).max());
    let (first, last) = (first.unwrap_or_default(), last.unwrap_or_default());
    let days = if first == last { first } else { format!("{first} to {last}") };
    let rounds = rows.iter().filter_map(|row| row["rounds"].as_u64()).min().unwrap_or(0);
    format!(
        "{}, {} cores, {}, {days}: medians of {rounds} interleaved rounds or more, of throughput to the best loop by hand of the same round, and of the client's \
         processor time a message; each library as it was on that day; – is what there is not.",
        machine["processor"].as_str().unwrap_or("?"),
        machine["cores"],
        machine["system"].as_str().unwrap_or("?"),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::report;
    use super::*;

    #[test]
    fn a_line_says_all_and_what_there_is_not() {
        let mut report = report("a", 0.5);
        report["broker"] = json!("RabbitMQ");
        let lines = lines_of(&BROKERS[1], &report);
        let expected = "| RabbitMQ, publish, 128 B | 0.50, 1.3 µs | – | – | – | – | – | 9 thousand a second, 1.3 µs: by hand |";
        assert_eq!(lines, [expected]);
        assert_eq!(cell(&json!({"failure": "it broke"})), "failed");
        report["rows"] = json!([]);
        assert!(lines_of(&BROKERS[1], &report).is_empty());
    }
}
