//! Nothing that a file may hold makes the reader or a checker panic.

use anybroker_conformance::history::read;
use anybroker_conformance::properties::check;
use proptest::prelude::*;

const PROMISES: &str = r#"{"P1":{},"P2":{},"P3":{"survives":["cut"]},"P3p":{},"P4":{},"P5":{},"P6":{"lease_ms":1},"P6b":{},"P7":{"scope":"key"},"P7r":{"scope":"partition"},"P8":{"scope":"queue","lease_ms":2},"P9":{"mark":"count"},"P10":{"limit":2,"dead_letter":"at_least_once"},"P11":{"window_ms":3},"P11b":{},"P12":{},"P13":{"bound":1},"P14":{},"P15":{},"P16":{},"P17":{"within_ms":2}}"#;

fn check_if_read(file: &[u8]) {
    if let Ok(history) = read(file) {
        let report = check(&history);
        serde_json::to_string(&report).unwrap();
        assert!(report.to_string().contains("verdict"));
    }
}

fn header() -> String {
    format!(r#"{{"history":"anybroker/1","backend":"b","epsilon_ms":1,"promises":{PROMISES}}}"#)
}

/// An event about few enough things that events fit together often, with extreme numbers now and then.
fn event() -> impl Strategy<Value = String> {
    let number = prop_oneof![8 => 0..4_u64, 1 => Just(u64::MAX), 1 => Just(u64::MAX / 2)];
    (0..17_u8, 0..4_u8, 0..4_u8, number, any::<bool>()).prop_map(|(kind, a, b, n, flag)| match kind {
        0 | 1 => format!(r#""e":"publish","m":"m{a}{b}","publisher":"p{b}","topic":"t","key":"k","hash":"h","delay_ms":{n},"dedup":"m{b}0","sentinel":{flag}"#),
        2 => format!(r#""e":"publish","m":"m{b}{a}","publisher":"p","topic":"t","key":null,"hash":"h","transaction":"x{a}""#),
        3 => format!(r#""e":"published","m":"m{a}{b}","outcome":"ok","position":{{"partition":0,"offset":{n}}}"#),
        4 => format!(r#""e":"published","m":"m{a}{b}","outcome":"failed","duplicate":{flag}"#),
        5 => format!(r#""e":"begin","transaction":"x{a}","publisher":"p""#),
        6 => format!(r#""e":"commit","transaction":"x{a}","publisher":"p""#),
        7 => format!(r#""e":"transaction_end","transaction":"x{a}","publisher":"p","outcome":"ok""#),
        8 => format!(r#""e":"open","session":"s{a}","consumer":"c{b}","group":"g{b}","topic":"t","start":"earliest""#),
        9 => format!(r#""e":"close","session":"s{a}","cause":"closed""#),
        10 => format!(r#""e":"revoke","session":"s{a}","partitions":[{n}]"#),
        11 => format!(r#""e":"settle","d":"d{a}{b}","verdict":"nack","delay_ms":{n}"#),
        12 => format!(r#""e":"settle","d":"d{a}{b}","verdict":"ack","transaction":"x{b}""#),
        13 => format!(r#""e":"settled","d":"d{a}{b}","outcome":"ok""#),
        14 => r#""e":"fault","kind":"heal","target":"b""#.to_owned(),
        15 => format!(r#""e":"drained","group":"g{a}","topic":"t""#),
        _ => format!(r#""e":"deliver","d":"d{a}{b}","m":"m{b}{a}","session":"s{b}","key":"k","hash":"h","attempt":{n},"dead_letter":{flag},"position":{{"partition":0,"offset":{n}}}"#),
    })
}

/// A file of the events that fit, each tried in its place.
fn file_of(events: &[String]) -> String {
    let mut file = header();
    for (i, event) in events.iter().enumerate() {
        let longer = format!("{file}\n{{\"t\":{},{event}}}", i as u64 * 400_000);
        if read(longer.as_bytes()).is_ok() {
            file = longer;
        }
    }
    file
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn arbitrary_bytes(bytes: Vec<u8>) {
        check_if_read(&bytes);
        let mut file = header().into_bytes();
        file.push(b'\n');
        file.extend(bytes);
        check_if_read(&file);
    }

    #[test]
    fn arbitrary_events(events in prop::collection::vec(event(), 0..80)) {
        check_if_read(file_of(&events).as_bytes());
    }

    #[test]
    fn mutated_files(
        events in prop::collection::vec(event(), 0..30),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        end: prop::sample::Index,
    ) {
        let mut file = file_of(&events).into_bytes();
        for (place, byte) in cuts {
            let place = place.index(file.len());
            file[place] = byte;
        }
        check_if_read(&file);
        file.truncate(end.index(file.len()));
        check_if_read(&file);
    }
}

#[test]
fn a_publish_into_a_transaction_that_has_ended() {
    let events = [
        r#""e":"begin","transaction":"x","publisher":"p""#,
        r#""e":"commit","transaction":"x","publisher":"p""#,
        r#""e":"transaction_end","transaction":"x","publisher":"p","outcome":"ok""#,
        r#""e":"publish","m":"m1","publisher":"p","topic":"t","key":null,"hash":"h""#,
        r#""e":"publish","m":"m2","publisher":"p","topic":"t","key":null,"hash":"h","dedup":"m1","transaction":"x""#,
    ];
    let file = file_of(&events.map(str::to_owned));
    assert_eq!(file.lines().count(), 6);
    check_if_read(file.as_bytes());
}
