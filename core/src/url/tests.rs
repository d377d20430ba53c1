use super::*;

fn parse(text: &str) -> BrokerUrl {
    text.parse().unwrap()
}

#[test]
fn all_parts() {
    let url = parse("amqp://us%40er:p%3Aw@[::1]:5672/%2f?partitions=4&x.frame=9");
    assert_eq!(
        (url.user.as_deref(), url.password.as_ref().map(Secret::expose)),
        (Some("us@er"), Some("p:w"))
    );
    assert_eq!(url.hosts, [("[::1]".to_owned(), Some(5672))]);
    assert_eq!(url.path.as_deref(), Some("/"));
    let mut parameters = url.parameters();
    assert_eq!(parameters.take::<u32>("partitions").unwrap(), Some(4));
    assert_eq!(parameters.native(), [("frame".to_owned(), "9".to_owned())]);
    parameters.finish().unwrap();
}

#[test]
fn secrets_are_not_shown() {
    let url = parse("amqp://guest:hunter2@h/?password=hunter2");
    assert!(!format!("{url} {url:?}").contains("hunter2"));
    assert_eq!(url.to_string(), "amqp://guest:***@h");
}

#[test]
fn unknown_repeated_and_unreadable_parameters_are_errors() {
    let mut parameters = parse("kafka://h?topolgy=create").parameters();
    assert_eq!(parameters.text("topology"), None);
    let text = parameters.finish().unwrap_err().to_string();
    assert!(text.contains("`topolgy`") && text.contains("known are: topology"), "{text}");
    let mut parameters = parse("kafka://h?a=1&a=2").parameters();
    parameters.text("a");
    assert!(parameters.finish().unwrap_err().to_string().contains("twice"));
    assert!(parse("kafka://h?n=many").parameters().take::<u32>("n").is_err());
    assert!(parse("kafka://h?n=many").parameters().duration("n").is_err());
}

#[test]
fn what_does_not_read_is_refused_without_repeating_it() {
    for bad in [
        "hunter2",
        "://hunter2",
        "kafka://hunter2:port",
        "kafka://:1",
        "amqp://u:hunter2%ff@h",
        "hun ter2://h",
    ] {
        let error = bad.parse::<BrokerUrl>().unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidConfiguration, "{bad}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
