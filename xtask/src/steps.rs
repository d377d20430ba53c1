//! The steps of `cargo xtask test`, in their order.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anybroker_conformance::REPORTS;
use anybroker_conformance::brokers::{Brokers, Status};

use crate::TestOptions;
use crate::again;
use crate::brokers::{TestBrokers, only_brokers, state};
use crate::conform;
use crate::failures::{self, Said, told};
use crate::figures;
use crate::instructions;
use crate::summary::Summary;
use crate::system;

/// What the child processes are told: where the brokers are, and which are left out.
pub(crate) type Environment = BTreeMap<String, String>;

/// The features of `anybroker` that must each build alone.
const FEATURES: [&str; 17] = [
    "memory",
    "sqlite",
    "kafka",
    "nats",
    "pulsar",
    "rabbitmq",
    "sqs",
    "endpoint",
    "otel",
    "patterns",
    "postgres",
    "postgres-log",
    "claim-check",
    "s3",
    "schema",
    "schema-registry",
    "glue",
];

/// A workspace of its own, which the others leave out. Its third-party crates are those of this one, in the same place.
const BENCH: &str =
    "clippy --manifest-path bench/Cargo.toml --target-dir target --all-targets -- -D warnings";
/// One more, which compares with other libraries over databases. Those over brokers (`bench`, feature `peers`) are linted by nobody.
const DATABASES: &str =
    "clippy --manifest-path bench/databases/Cargo.toml --target-dir target --all-targets -- -D warnings";

pub(crate) fn test(options: &TestOptions) -> ExitCode {
    let mut summary = Summary::new(options.only.clone());
    let none = Environment::new();
    if !summary.step("system packages", || system::ready(options.install_system)) {
        return end(&summary);
    }
    summary.step("format", || cargo("fmt --all --check", &none));
    summary.step("lints", || cargo("clippy --workspace --all-targets -- -D warnings", &none));
    summary.step("lints, bench", || cargo(BENCH, &none));
    summary.step("lints, bench of databases", || cargo(DATABASES, &none));
    builds("no features", "", &mut summary);
    FEATURES.iter().for_each(|feature| builds(&format!("feature {feature}"), feature, &mut summary));
    builds("all features", &FEATURES.join(","), &mut summary);
    summary.step("documentation", || {
        let deny = Environment::from([("RUSTDOCFLAGS".to_owned(), "-D warnings".to_owned())]);
        cargo("doc --workspace --no-deps --all-features", &deny)
    });
    msrv(&mut summary);
    instructions::step(options.install_system, &mut summary);
    summary.step("orders, embedded", || cargo("run -p orders", &none));
    let on_each = Brokers::names().into_iter().map(orders_on);
    let steps: Vec<String> =
        [UNIT_TESTS, DOC_TESTS, EXACTLY_ONCE].map(str::to_owned).into_iter().chain(on_each).collect();
    let wanted = steps.iter().any(|step| summary.wants(step));
    with_brokers(Brokers::names(), wanted, options, &mut summary, tests);
    end(&summary)
}

fn builds(name: &str, features: &str, summary: &mut Summary) {
    let arguments = format!("check -p anybroker --no-default-features --features={features}");
    summary.step(name, || cargo(&arguments, &Environment::new()));
}

pub(crate) fn docs() -> ExitCode {
    let generated = figures::write().and_then(|()| {
        cargo(
            "test -p anybroker-conformance --test documents --test faithful",
            &Environment::from([("ANYBROKER_WRITE_DOCS".into(), "1".into())]),
        )
    });
    match generated {
        Ok(_) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

pub(crate) fn conform(options: &TestOptions) -> ExitCode {
    let mut summary = Summary::new(options.only.clone());
    if summary.step("system packages", || system::ready(options.install_system)) {
        let wanted = summary.wants(CONFORMANCE);
        with_brokers(only_brokers(), wanted, options, &mut summary, |running, summary| {
            let mut environment = running.environment.clone();
            let reports = conform::reports();
            environment.insert(REPORTS.to_owned(), reports.display().to_string());
            // Reports of an earlier run are not this one's.
            let _ = std::fs::remove_dir_all(reports);
            summary
                .step(CONFORMANCE, || cargo("test -p anybroker-conformance --test behaviour", &environment));
            summary.step("reports", conform::keep);
        });
    }
    end(&summary)
}

/// The brokers while they run.
pub(crate) struct Running {
    brokers: TestBrokers,
    statuses: Vec<Status>,
    /// What child processes are told.
    pub(crate) environment: Environment,
}

impl Running {
    /// Where a broker is, if it runs.
    pub(crate) fn url(&self, name: &str) -> Option<String> {
        self.statuses.iter().find(|status| status.name == name)?.url.clone()
    }
}

/// Starts the brokers of these names that are not left out, does `steps` with them, and stops them. Where none of those steps is
/// `wanted`, none is started.
pub(crate) fn with_brokers(
    names: Vec<&'static str>,
    wanted: bool,
    options: &TestOptions,
    summary: &mut Summary,
    steps: impl FnOnce(&Running, &mut Summary),
) {
    let brokers = match TestBrokers::new(names, options.install_system, &options.exclude) {
        Ok(brokers) => brokers,
        Err(why) => {
            summary.step("brokers up", || Err(why));
            return;
        }
    };
    let mut environment = Environment::from([
        ("ANYBROKER_BROKERS_DIR".to_owned(), state().display().to_string()),
        ("ANYBROKER_TEST_EXCLUDE".to_owned(), options.exclude.join(",")),
    ]);
    for name in &options.exclude {
        summary.not_run(&format!("everything on {name}"), "left out by --exclude");
    }
    let mut statuses = Vec::new();
    summary.step_if(wanted, "brokers up", || {
        statuses = brokers.up()?;
        statuses.iter().for_each(|status| tell(&mut environment, status));
        Ok(statuses
            .iter()
            .map(|s| format!("{} {}", s.name, s.version.as_deref().unwrap_or("")))
            .collect::<Vec<_>>()
            .join(", "))
    });
    let running = Running { brokers, statuses, environment };
    steps(&running, summary);
    if options.keep {
        summary.not_run("brokers down", "--keep");
    } else {
        summary.step_if(wanted, "brokers down", || running.brokers.down().map(|()| String::new()));
    }
}

/// The steps that need brokers.
const UNIT_TESTS: &str = "unit and adapter tests";
const DOC_TESTS: &str = "doc tests";
const EXACTLY_ONCE: &str = "exactly once on kafka, workers killed";
const CONFORMANCE: &str = "conformance";

fn orders_on(name: &str) -> String {
    format!("orders on {name}")
}

/// All tests, and the examples on each broker.
fn tests(running: &Running, summary: &mut Summary) {
    let Running { brokers, statuses, environment } = running;
    // A broker that could not be had fails the tests that need it, each by its name.
    summary.step(UNIT_TESTS, || {
        let targets = "--workspace --lib --bins --examples --tests";
        let trip =
            |url: &str| cargo(&format!("run -q -p anybroker-cli -- doctor --round-trip {url}"), environment);
        let mend = || brokers.mend(|url| trip(url).map(|_| ()));
        again::test(targets, |command| heard(command, environment), mend)
    });
    summary.step(DOC_TESTS, || cargo("test --workspace --doc", environment));
    for status in statuses {
        let variable = match status.name.as_str() {
            name if Brokers::is_broker(name) => "ANYBROKER_URL",
            "postgres" => "DATABASE_URL",
            _ => continue,
        };
        summary.step(&orders_on(&status.name), || {
            let mut environment = environment.clone();
            environment.insert(variable.to_owned(), status.url.clone().unwrap_or_default());
            cargo("run -p orders --features kafka,nats,pulsar,rabbitmq,sqs", &environment)
        });
    }
    for kafka in statuses.iter().filter(|status| status.name == "kafka") {
        summary.step(EXACTLY_ONCE, || {
            let mut environment = environment.clone();
            let url = kafka.url.clone().unwrap_or_default();
            // The shortest that a broker allows: so long do the partitions of a killed worker wait.
            environment.insert("ANYBROKER_URL".to_owned(), format!("{url}?session_timeout=6s"));
            cargo("run -p exactly_once --features kafka -- 20000 --kills 4", &environment)
        });
    }
}

/// `ANYBROKER_KAFKA_URL` and the like.
fn tell(environment: &mut Environment, status: &Status) {
    let url = status.url.clone().unwrap_or_default();
    environment.insert(format!("ANYBROKER_{}_URL", status.name.to_uppercase()), url);
}

/// Builds with the oldest compiler that is promised, unless this one is that.
fn msrv(summary: &mut Summary) {
    let promised = env!("CARGO_PKG_RUST_VERSION");
    let version = Command::new("rustc")
        .arg("--version")
        .output()
        .map(|o| String::from_utf8_lossy(&o.stdout).into_owned());
    let current = version.unwrap_or_default();
    if current.starts_with(&format!("rustc {promised}.")) {
        summary.step("oldest compiler", || Ok(format!("{promised}: the one that builds all of this")));
        return;
    }
    summary.step("oldest compiler", || {
        cargo(&format!("+{promised} check --workspace --all-targets"), &Environment::new())
    });
}

/// How long a step may take before it counts as hung.
const STEP: Duration = Duration::from_secs(60 * 60);

/// How long to wait for the rest of what an ended command printed.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Runs a command of cargo's; what it was, or why it failed.
pub(crate) fn cargo(arguments: &str, environment: &Environment) -> Result<String, String> {
    match heard(arguments, environment)? {
        (true, _) => Ok(format!("cargo {arguments}")),
        (false, said) => Err(format!("cargo {arguments}: failed\n{}", told(&said.failed))),
    }
}

/// The same; whether it succeeded, and what its tests said.
///
/// # Errors
/// It could not be run, or hung.
fn heard(arguments: &str, environment: &Environment) -> Result<(bool, Said), String> {
    // `cargo` and not $CARGO: only the former understands +VERSION.
    let mut command = Command::new("cargo");
    command.args(arguments.split(' ').filter(|a| !a.is_empty())).envs(environment);
    match wait(&mut command) {
        Ok((Some(status), said)) => Ok((status.success(), said)),
        Ok((None, _)) => Err(format!("cargo {arguments}: hung; ended after {STEP:?}")),
        Err(error) => Err(format!("cargo {arguments}: {error}")),
    }
}

/// Waits for a command within the deadline of a step; how it ended, and what its tests said.
pub(crate) fn wait(command: &mut Command) -> std::io::Result<(Option<ExitStatus>, Said)> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let (tell, heard) = mpsc::channel();
    if let Some(printed) = child.stdout.take() {
        std::thread::spawn(move || tell.send(failures::pass_on(BufReader::new(printed), std::io::stdout())));
    }
    let deadline = Instant::now() + STEP;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            // A process that it left behind may keep its output open.
            return Ok((Some(status), heard.recv_timeout(LAST_WORDS).unwrap_or_default()));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    child.kill()?;
    child.wait()?;
    Ok((None, Said::default()))
}

pub(crate) fn end(summary: &Summary) -> ExitCode {
    if summary.print() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
