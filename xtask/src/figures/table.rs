//! The README's table of what is kept.

use serde_json::Value;

/// The brokers, in the order of the table, and what they are called there.
const BROKERS: [(&str, &str); 6] = [
    ("kafka", "Kafka"),
    ("RabbitMQ", "RabbitMQ"),
    ("NATS JetStream", "JetStream"),
    ("core NATS", "core NATS"),
    ("SQS FIFO", "SQS FIFO"),
    ("Pulsar", "Pulsar"),
];

/// The columns beside those by hand: a contender, and its heading.
const OURS: [&str; 2] = ["anybroker, batches", "anybroker, natural"];
const PEERS: [&str; 3] = ["ruststream", "mq-bridge", "sea-streamer"];

/// One of the tables: which operations its lines are of, with what they are called there, and what a cell says of a contender.
struct Table {
    operations: &'static [(&'static str, &'static str)],
    cell: fn(&Value) -> String,
    /// What is said of the best by hand, before its name.
    best: fn(&Value) -> String,
}

const THROUGHPUT: Table = Table {
    operations: &[("publish", "publish"), ("consume", "consume"), ("through", "publish and consume")],
    cell: throughput,
    best: |row| {
        let thousands = row["per_second"]["median"].as_f64().unwrap_or_default() / 1_000.0;
        format!("{thousands:.0} thousand a second, {}", micros(row))
    },
};

const LATENCY: Table = Table {
    operations: &[("latency", "end to end")],
    cell: latency,
    best: |row| format!("{} ({} and {})", millis(row, "p99"), millis(row, "p50"), millis(row, "p999")),
};

/// Of all documents, those of brokers that are not among them left out.
///
/// # Errors
/// Nothing is kept.
pub(super) fn table(documents: &[Value]) -> Result<String, String> {
    let first = documents.first().ok_or("docs/bench has nothing")?;
    let rows: Vec<_> = documents.iter().flat_map(rows).collect();
    let about = about(&first["machine"], &rows);
    Ok(format!("{about}\n{}{}", THROUGHPUT.of(documents, ""), LATENCY.of(documents, ABOUT_LATENCY)))
}

impl Table {
    /// With what is said before it; nothing if it has no lines.
    fn of(&self, documents: &[Value], about: &str) -> String {
        let of = |broker: &str| documents.iter().find(|it| it["broker"] == broker);
        let found = BROKERS.iter().filter_map(|(broker, called)| Some((called, of(broker)?)));
        let lines: Vec<_> = found.flat_map(|(called, document)| self.lines_of(called, document)).collect();
        if lines.is_empty() {
            return String::new();
        }
        let (ours, peers) = (OURS.join(" | "), PEERS.join(" | "));
        let head = format!(
            "| | {ours} | by hand, promising the same | {peers} | best by hand |\n|---|---|---|---|---|---|---|---|"
        );
        format!("{about}\n{head}\n{}\n", lines.join("\n"))
    }

    fn lines_of(&self, broker: &str, document: &Value) -> Vec<String> {
        let mut lines = Vec::new();
        for (operation, said) in self.operations {
            for size in [128, 1_024] {
                let of: Vec<_> =
                    rows(document).filter(|it| it["operation"] == *operation && it["size"] == size).collect();
                if let Some(cells) = self.cells(&of) {
                    let size = if size == 128 { "128 B" } else { "1 KiB" };
                    lines.push(format!("| {broker}, {said}, {size} | {cells} |"));
                }
            }
        }
        lines
    }

    /// None if nothing was measured by hand.
    fn cells(&self, rows: &[&Value]) -> Option<String> {
        let find = |name: &str| rows.iter().find(|it| it["contender"] == name).copied();
        let best = rows.iter().find_map(|it| it["against_best"]["best"].as_str()).and_then(find)?;
        let equal = rows.iter().find(|it| it["kind"] == "equal").copied();
        let all = OURS.map(find).into_iter().chain([equal]).chain(PEERS.map(find));
        let cells: Vec<_> = all.map(|row| row.map_or("–".to_owned(), |row| self.cell(row))).collect();
        let name = best["contender"].as_str().unwrap_or_default();
        Some(format!("{} | {}: {name}", cells.join(" | "), (self.best)(best)))
    }

    fn cell(&self, row: &Value) -> String {
        if row["failure"].is_null() { (self.cell)(row) } else { "failed".to_owned() }
    }
}

fn rows(document: &Value) -> impl Iterator<Item = &Value> {
    document["rows"].as_array().into_iter().flatten()
}

/// To the best by hand of the same rounds, and the client's processor time.
fn throughput(row: &Value) -> String {
    // The best itself is compared with nothing.
    let ratio = row["against_best"]["throughput"]["median"].as_f64().unwrap_or(1.0);
    format!("{ratio:.2}, {}", micros(row))
}

/// To the best by hand of the same rounds, and how long that is.
fn latency(row: &Value) -> String {
    let ratio = row["against_best"]["p99"]["median"].as_f64().unwrap_or(1.0);
    format!("{ratio:.2}, {}", millis(row, "p99"))
}

fn micros(row: &Value) -> String {
    row["cpu"]["median"].as_f64().map_or("–".to_owned(), |micros| format!("{micros:.1} µs"))
}

fn millis(row: &Value, percentile: &str) -> String {
    row[percentile]["median"]
        .as_f64()
        .map_or("–".to_owned(), |micros| format!("{:.1} ms", micros / 1_000.0))
}

const ABOUT_LATENCY: &str = "
From publishing to being handled, at 1,000 messages a second: the 99th percentile to the lowest by hand of the same rounds, and in milliseconds (of the \
     best by hand also the median and the 99.9th); lower is better.
";

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
        let lines = THROUGHPUT.lines_of("RabbitMQ", &report);
        let expected = "| RabbitMQ, publish, 128 B | 0.50, 1.3 µs | – | – | – | – | – | 9 thousand a second, 1.3 µs: by hand |";
        assert_eq!(lines, [expected]);
        assert!(LATENCY.lines_of("RabbitMQ", &report).is_empty());
        assert_eq!(THROUGHPUT.cell(&json!({"failure": "it broke"})), "failed");
        report["rows"] = json!([]);
        assert!(THROUGHPUT.lines_of("RabbitMQ", &report).is_empty());
    }

    #[test]
    fn latency_is_told_in_milliseconds() {
        let row =
            json!({"failure": null, "against_best": {"p99": {"median": 1.1}}, "p99": {"median": 4_230.0}});
        assert_eq!(LATENCY.cell(&row), "1.10, 4.2 ms");
    }
}
