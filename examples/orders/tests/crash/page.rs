//! The page of a program at work.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::is_right;
use super::process::Workplace;

#[test]
fn its_page_shows_how_everything_stands() {
    let environment = vec![
        ("ANYBROKER_URL", "memory://orders".to_owned()),
        // Whichever port is free.
        ("ORDERS_HTTP", "127.0.0.1:0".to_owned()),
    ];
    let workplace = Workplace::new(environment, 300);
    let mut process = workplace.start();
    workplace.wait_for_events(100, &mut process);
    let said = workplace.said();
    let address = said.split("http://").nth(1).and_then(|rest| rest.split('/').next()).unwrap();

    let (head, page) = ask(address, "GET / HTTP/1.1");
    assert!(head.starts_with("HTTP/1.1 200 ") && page.contains("/state.json"), "{head}{page}");
    assert!(ask(address, "GET /orders HTTP/1.1").0.starts_with("HTTP/1.1 404 "));
    assert!(ask(address, "POST /state.json HTTP/1.1").0.starts_with("HTTP/1.1 405 "));

    let deadline = Instant::now() + Duration::from_secs(60);
    let state = loop {
        let (head, state) = ask(address, "GET /state.json HTTP/1.1");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}{state}");
        let state: serde_json::Value = serde_json::from_str(&state).unwrap();
        if state["states"].as_array().unwrap().iter().any(|state| state[0] == "paid") {
            break state;
        }
        assert!(Instant::now() < deadline, "no order is shown as paid: {state}");
    };
    assert_eq!((&state["orders"], &state["dead_letters"]), (&300.into(), &0.into()));
    assert!(state["sagas"].as_array().unwrap().iter().any(|state| state[0] == "running"), "{state}");
    let groups = state["backlogs"].as_array().unwrap().iter().map(|group| group[0].as_str().unwrap());
    assert_eq!(groups.collect::<Vec<_>>(), ["payment", "inventory", "fulfilment", "office"]);
    for count in ["projection_lag", "outbox_backlog", "outbox_quarantined"] {
        assert!(state[count].is_u64(), "{count}: {state}");
    }
    is_right(&process.report(), 300);
}

/// Head and body of the answer.
fn ask(address: &str, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{request}\r\nhost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}
