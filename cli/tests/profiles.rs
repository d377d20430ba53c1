//! Which broker a command means: precedence, and that no secret is printed.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking, and so do their helpers")]

#[cfg(test)]
mod command;

use std::os::unix::fs::PermissionsExt;

use command::anybroker_in;
use tempfile::NamedTempFile;

/// Variables of the environment, arguments, and what is said.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str], &'a str);

/// A file of profiles that only its owner may read.
fn file(text: &str) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

/// Each place is known by a parameter that does not exist, which the error names.
const PLACES: &str = "\
[profiles.one]
url = \"memory://\"
from_one = 1
[profiles.two]
url = \"memory://?from_two=1\"
";

#[test]
fn the_command_line_goes_before_the_environment() {
    let file = file(PLACES);
    let profiles = ("ANYBROKER_PROFILES", file.path().to_str().unwrap());
    let url = ("ANYBROKER_URL", "memory://?from_variable=1");
    let profile = ("ANYBROKER_PROFILE", "two");
    let cases: [Case<'_>; 13] = [
        (&[url, profile], &["lag", "memory://?from_argument=1", "t"], "from_argument"),
        (&[url, profile], &["lag", "@one", "t"], "from_one"),
        (&[url, profile], &["--profile", "one", "lag", "t"], "from_one"),
        (&[url, profile], &["lag", "t", "--profile=one"], "from_one"),
        (&[url, profile], &["lag", "t"], "from_variable"),
        (&[profile], &["lag", "t"], "from_two"),
        (&[("ANYBROKER_URL", ""), profile], &["lag", "t"], "from_two"),
        (&[("ANYBROKER_URL", "@one"), profile], &["lag", "t"], "from_one"),
        (&[url], &["topics", "list"], "from_variable"),
        (&[url], &["topics", "list", "t"], "from_variable"),
        (&[url], &["pub", "t", "-H", "link=http://h", "/dev/null"], "from_variable"),
        (&[url], &["dlq", "show", "t", "m-1"], "from_variable"),
        // The argument's parameters go before the profile's.
        (&[], &["lag", "@one?from_one=2&from_both=1", "t"], "from_one"),
    ];
    for (environment, args, expected) in cases {
        let ran = anybroker_in(&[&[profiles], environment].concat(), args);
        assert_eq!(ran.code, Some(2), "{args:?}: {ran:?}");
        assert!(ran.err.contains(&format!("there is no parameter `{expected}`")), "{args:?}: {}", ran.err);
    }
}

#[test]
fn what_is_not_clear_is_refused() {
    let file = file(PLACES);
    let profiles = ("ANYBROKER_PROFILES", file.path().to_str().unwrap());
    let url = ("ANYBROKER_URL", "memory://");
    let cases: [Case<'_>; 7] = [
        (&[], &["lag", "memory://", "t", "--profile", "one"], "named twice"),
        (&[], &["lag", "@three", "t"], "there are: one, two"),
        (&[], &["lag", "t"], "no broker is named"),
        (&[], &["lag", "t", "u"], "no scheme"),
        (&[("ANYBROKER_PROFILES", "/no/such/file")], &["lag", "@one", "t"], "/no/such/file"),
        (&[url], &["lag", "kafka://h", "t", "--nonsense"], "--nonsense"),
        (&[url], &["lag"], "<TOPIC>"),
    ];
    for (environment, args, expected) in cases {
        let ran = anybroker_in(&[&[profiles], environment].concat(), args);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{args:?}");
        assert!(ran.err.contains(expected), "{args:?}: {}", ran.err);
    }
}

#[test]
fn a_variable_is_enough_for_a_command_to_run() {
    let ran = anybroker_in(&[("ANYBROKER_URL", "memory://")], &["guarantees", "--format", "json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(ran.json()[0]["backend"], "memory");
}

const SECRETS: &str = "\
[profiles.prod]
url = \"amqp://127.0.0.1:1/shop?token=hunter2\"
user = \"app\"
password = \"hunter2\"
secret = \"hunter2\"
partitions = 3
tls_ca = \"/etc/ca.pem\"
\"x.ssl.key.password\" = \"hunter2\"
";

#[test]
fn secrets_are_not_listed_and_a_readable_file_is_warned_about() {
    let file = file(SECRETS);
    let profiles = [("ANYBROKER_PROFILES", file.path().to_str().unwrap())];
    for format in ["human", "json"] {
        let ran = anybroker_in(&profiles, &["profiles", "--format", format]);
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
        assert!(
            !ran.out.contains("hunter2") && ran.out.contains("amqp://app:***@127.0.0.1:1/shop"),
            "{}",
            ran.out
        );
        assert!(ran.out.contains("partitions") && ran.out.contains("/etc/ca.pem"), "{}", ran.out);
    }
    let ran = anybroker_in(&profiles, &["doctor", "@prod"]);
    assert!(!format!("{ran:?}").contains("hunter2"), "{ran:?}");

    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let ran = anybroker_in(&profiles, &["profiles"]);
    assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
    assert!(ran.err.contains("chmod 600") && !ran.err.contains("hunter2"), "{}", ran.err);
    std::fs::write(file.path(), PLACES).unwrap();
    assert_eq!(anybroker_in(&profiles, &["profiles"]).err, "", "it holds no secret");

    std::fs::write(file.path(), "[profiles.prod]\nurl = 7\npassword = \"hunter2\n").unwrap();
    let ran = anybroker_in(&profiles, &["profiles"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("line") && !ran.err.contains("hunter2"), "{}", ran.err);
}

#[test]
fn the_log_is_for_those_who_ask() {
    let args = ["topics", "list", "kafka://127.0.0.1:1?connect_timeout=1s"];
    let quiet = anybroker_in(&[], &args);
    assert_eq!(quiet.err.lines().count(), 1, "{}", quiet.err);
    for (environment, args) in
        [(&[("ANYBROKER_LOG", "debug")][..], args.to_vec()), (&[], [&["-vv"], &args[..]].concat())]
    {
        let loud = anybroker_in(environment, &args);
        assert!(loud.err.lines().count() > 1 && loud.err.contains("DEBUG"), "{}", loud.err);
    }
    let wrong = anybroker_in(&[("ANYBROKER_LOG", "loud")], &["profiles"]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.err.contains("debug"), "{}", wrong.err);
}
