//! What is wrong is said, in time, without secrets.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::command::{Ran, anybroker};

/// The scheme and what comes before the host.
fn with_host(url: &str, host: &str) -> String {
    let (start, rest) = url.split_once("://").unwrap();
    match rest.split_once('@') {
        Some((login, _)) => format!("{start}://{login}@{host}"),
        None => format!("{start}://{host}"),
    }
}

fn refused(ran: &Ran, hint: &str) {
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{}", ran.err);
    assert!(ran.err.contains(hint), "no `{hint}` in: {}", ran.err);
    assert!(ran.err.lines().count() <= 3, "a wall of text: {}", ran.err);
}

pub(crate) fn mistakes_are_exit_code_2_and_say_what_to_do(url: &str) {
    refused(&anybroker(&["pub", url, "cli-no-such-topic"], "x"), "topics create");
    refused(&anybroker(&["sub", url, "cli-no-such-topic", "--group", "g"], ""), "topics create");
    refused(&anybroker(&["guarantees", url, "--topic", "cli-no-such-topic"], ""), "topics create");
    let joint = if url.contains('?') { '&' } else { '?' };
    refused(&anybroker(&["pub", &format!("{url}{joint}partitons=2"), "t"], "x"), "known are");
}

pub(crate) fn a_broker_that_is_down_is_an_error_in_time(url: &str) {
    // A port that was free a moment ago refuses connections.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = with_host(url, &format!("127.0.0.1:{port}"));
    let commands: [&[&str]; 4] = [
        &["pub", &url, "t"],
        &["sub", &url, "t", "--group", "g"],
        &["guarantees", &url],
        &["topics", "create", &url, "t"],
    ];
    for args in commands {
        let began = Instant::now();
        refused(&anybroker(args, "x"), &port.to_string());
        assert!(began.elapsed() < Duration::from_secs(45), "{args:?} took {:?}", began.elapsed());
    }
}

pub(crate) fn a_wrong_password_is_refused_and_not_printed(url: &str) {
    let (start, rest) = url.split_once("://").unwrap();
    let host = rest.rsplit('@').next().unwrap();
    let ran = anybroker(&["pub", &format!("{start}://guest:hunter2@{host}"), "t"], "x");
    refused(&ran, "permission denied");
    assert!(!ran.err.contains("hunter2"), "{}", ran.err);
}

pub(crate) fn a_doctor_names_a_wrong_password_and_does_not_print_it(url: &str) {
    let (start, rest) = url.split_once("://").unwrap();
    let host = rest.rsplit('@').next().unwrap();
    let url = format!("{start}://guest:hunter2@{host}");
    let ran = anybroker(&["doctor", &url, "--format", "json"], "");
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert_eq!(ran.json().last().unwrap()["first_failure"]["subject"], "login", "{}", ran.out);
    let human = anybroker(&["doctor", &url], "");
    assert!(human.out.lines().last().unwrap().contains("password"), "{}", human.out);
    assert!(!format!("{ran:?}{human:?}").contains("hunter2"));
}
