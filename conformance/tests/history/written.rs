//! What the writer writes is what the reader reads.

use std::io::ErrorKind;

use anybroker_conformance::history::{
    Assign, Deliver, Event, Fault, Header, HistoryWriter, Position, Promises, Publish, Text, read,
};

fn header() -> Header {
    Header::new("test 1.0", Promises::default())
}

#[test]
fn lines_look_as_specified() {
    let mut writer = HistoryWriter::new(Vec::new(), &header()).unwrap();
    let publish = Publish { m: "m1".into(), publisher: "p".into(), hash: "h".into(), ..Publish::default() };
    writer.write(7, &Event::Publish(publish)).unwrap();
    let deliver = Deliver { position: Some(Position { partition: 0, offset: 7 }), ..Deliver::default() };
    writer.write(8, &Event::Deliver(Deliver { attempt: Some(2), ..deliver })).unwrap();
    writer.write(9, &Event::Revoke(Assign { session: "s".into(), partitions: vec![0, 2] })).unwrap();
    let text = String::from_utf8(writer.into_inner()).unwrap();
    let expected = r#"{"history":"anybroker/1","backend":"test 1.0","epsilon_ms":50,"promises":{}}
{"t":7,"e":"publish","m":"m1","publisher":"p","topic":"","key":null,"hash":"h"}
{"t":8,"e":"deliver","d":"","m":"","session":"","key":null,"hash":"","position":{"partition":0,"offset":7},"attempt":2}
{"t":9,"e":"revoke","session":"s","partitions":[0,2]}
"#;
    assert_eq!(text, expected);
}

#[test]
fn the_order_of_the_lines_is_the_order_of_time() {
    let mut writer = HistoryWriter::new(Vec::new(), &header()).unwrap();
    for time in [5, 3, u64::MAX] {
        writer.write(time, &Event::Fault(Fault::default())).unwrap();
    }
    assert_eq!(read(writer.into_inner().as_slice()).unwrap().events(), 3);
}

#[test]
fn an_event_that_is_too_long_leaves_the_history_whole() {
    let mut writer = HistoryWriter::new(Vec::new(), &header()).unwrap();
    let target = Text::from("x".repeat(1 << 20));
    let error = writer.write(1, &Event::Fault(Fault { kind: "kill".into(), target })).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(read(writer.into_inner().as_slice()).unwrap().events(), 0);
}
