//! What is kept of the reports of `anybroker bench`: one document for each broker, in docs/bench, without the single rounds.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// What is kept of a row.
const OF_ROW: [&str; 12] = [
    "operation",
    "size",
    "contender",
    "kind",
    "way",
    "messages",
    "per_second",
    "cpu",
    "allocations",
    "p50",
    "p99",
    "p999",
];

/// One document for each broker, by the name of its file. Later reports win where several have measured the same.
///
/// # Errors
/// Reports of several machines.
pub(super) fn merged(reports: &[Value]) -> Result<BTreeMap<String, Value>, String> {
    let first = reports.first().ok_or("no reports")?;
    let machine = |it: &Value| (it["machine"]["processor"].clone(), it["machine"]["cores"].clone());
    if reports.iter().any(|report| machine(report) != machine(first)) {
        return Err("these reports are of several machines".to_owned());
    }
    let mut documents = BTreeMap::new();
    for report in reports {
        let broker = report["broker"].as_str().ok_or("a report without a broker")?;
        let document = documents.entry(file(broker)).or_insert_with(|| document(report));
        add(document, report)?;
    }
    Ok(documents)
}

/// The name of the file of a broker's document.
fn file(broker: &str) -> String {
    format!("{}.json", broker.to_lowercase().replace(' ', "-"))
}

fn document(report: &Value) -> Value {
    let of = |name: &str| report[name].clone();
    json!({"version": 1, "broker": of("broker"), "machine": of("machine"), "settings": of("settings"), "rows": []})
}

fn add(document: &mut Value, report: &Value) -> Result<(), String> {
    let rows = document["rows"].as_array_mut().ok_or("a document without rows")?;
    for row in report["rows"].as_array().ok_or("a report without rows")? {
        let same = |it: &Value| ["operation", "size", "contender"].iter().all(|name| it[name] == row[name]);
        rows.retain(|it| !same(it));
        rows.push(kept(row, &report["date"]));
    }
    Ok(())
}

fn kept(row: &Value, date: &Value) -> Value {
    let mut kept: Map<_, _> = OF_ROW.iter().map(|name| ((*name).to_owned(), row[name].clone())).collect();
    kept.insert("failure".to_owned(), row["failure"].clone());
    kept.insert("against_best".to_owned(), row["against_best"].clone());
    kept.insert("rounds".to_owned(), json!(row["rounds"].as_array().map_or(0, Vec::len)));
    kept.insert("date".to_owned(), date.clone());
    Value::Object(kept)
}

#[cfg(test)]
mod tests {
    use super::super::tests::report;
    use super::*;

    #[test]
    fn a_later_report_wins_and_rounds_are_counted_only() {
        let kept = merged(&[report("a", 0.5), report("a", 0.7)]).unwrap();
        let rows = kept["rabbitmq-4.json"]["rows"].as_array().unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[1]["against_best"]["throughput"]["median"], json!(0.7));
        assert_eq!(rows[1]["rounds"], json!(3));
    }

    #[test]
    fn machines_are_not_mixed() {
        assert!(merged(&[report("a", 0.5), report("b", 0.5)]).unwrap_err().contains("several machines"));
    }
}
