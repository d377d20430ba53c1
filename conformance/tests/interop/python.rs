//! An environment of Python with pinned clients, made once, and the programs that run in it.

use std::ffi::OsStr;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;
use std::{env, fs};

use anybroker_conformance::brokers::default_cache;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::time::timeout;

use crate::Failure;

const REQUIREMENTS: &str = include_str!("python/requirements.txt");
/// Says that everything is there.
const IMPORTS: &str = "import boto3, cloudevents.core, confluent_kafka, nats, pika";
const ADVICE: &str = "the interoperability tests need Python 3.10 or later with venv and pip, and the packages of \
    conformance/tests/interop/python/requirements.txt; on Debian: apt-get install -y python3 python3-venv. \
    ANYBROKER_TEST_EXCLUDE=python leaves them out by name";
/// How long a program may take for one line.
const LINE: Duration = Duration::from_secs(45);

/// The interpreter of the environment.
pub(crate) struct Python {
    interpreter: PathBuf,
}

impl Python {
    /// Makes the environment unless the cache has it.
    pub(crate) fn ready() -> Result<&'static Python, String> {
        static READY: OnceLock<Result<Python, String>> = OnceLock::new();
        READY.get_or_init(|| make().map_err(|why| format!("{why}\n{ADVICE}"))).as_ref().map_err(Clone::clone)
    }

    /// Starts one of the programs.
    pub(crate) fn start(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Result<Program, Failure> {
        let path = folder().join(program);
        let mut command = tokio::process::Command::new(&self.interpreter);
        // Files beside the programs are the repository's: no compiled ones among them.
        command.arg("-B").arg(path).args(arguments).kill_on_drop(true);
        // boto3 wants some, and ElasticMQ takes any.
        command.env("AWS_ACCESS_KEY_ID", "any").env("AWS_SECRET_ACCESS_KEY", "any");
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        Ok(Program { name: program.to_owned(), stdin: child.stdin.take(), lines, child })
    }
}

/// Where the programs lie.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/python")
}

/// It appears all at once, or not at all; other requirements make another environment.
fn make() -> Result<Python, String> {
    let mut hasher = DefaultHasher::new();
    REQUIREMENTS.hash(&mut hasher);
    let cache = default_cache();
    let name = format!("python-clients-{:016x}", hasher.finish());
    let environment = cache.join(&name);
    let interpreter = environment.join("bin/python");
    fs::create_dir_all(&cache).map_err(|e| format!("{}: {e}", cache.display()))?;
    let lock = cache.join(format!("{name}.lock"));
    let file = fs::File::create(&lock).map_err(|e| format!("{}: {e}", lock.display()))?;
    file.lock().map_err(|e| format!("{}: {e}", lock.display()))?;
    if run(Command::new(&interpreter).args(["-c", IMPORTS])).is_ok() {
        return Ok(Python { interpreter });
    }
    eprintln!("fetching the Python clients into {}", environment.display());
    let unfinished = cache.join(format!("{name}.unfinished"));
    _ = fs::remove_dir_all(&unfinished);
    _ = fs::remove_dir_all(&environment);
    run(Command::new("python3").args(["-m", "venv"]).arg(&unfinished))?;
    let mut pip = Command::new(unfinished.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]);
    run(pip.arg("--requirement").arg(folder().join("requirements.txt")))?;
    fs::rename(&unfinished, &environment).map_err(|e| format!("{}: {e}", environment.display()))?;
    run(Command::new(&interpreter).args(["-c", IMPORTS]))?;
    Ok(Python { interpreter })
}

fn run(command: &mut Command) -> Result<(), String> {
    let words = [command.get_program()].into_iter().chain(command.get_args()).map(OsStr::to_string_lossy);
    let line = words.collect::<Vec<_>>().join(" ");
    let output = command.stdin(Stdio::null()).output().map_err(|e| format!("`{line}` failed: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("`{line}` failed: {}\n{}", output.status, said.trim_end()))
}

/// A running program, which takes and gives lines of JSON.
pub(crate) struct Program {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Program {
    /// Has it do something, and waits for its answer.
    pub(crate) async fn ask(&mut self, line: &Value) -> Result<Value, Failure> {
        let stdin = self.stdin.as_mut().ok_or("its input is closed")?;
        if stdin.write_all(format!("{line}\n").as_bytes()).await.is_err() {
            return Err(self.broken("it takes no more lines").await);
        }
        self.hear().await
    }

    /// Waits for a line.
    pub(crate) async fn hear(&mut self) -> Result<Value, Failure> {
        match timeout(LINE, self.lines.next_line()).await {
            Ok(Ok(Some(line))) => Ok(serde_json::from_str(&line)?),
            Ok(_) => Err(self.broken("it ended").await),
            Err(_) => Err(self.broken(&format!("it said nothing within {LINE:?}")).await),
        }
    }

    /// Closes its input and waits until it has ended well.
    pub(crate) async fn end(mut self) -> Result<(), Failure> {
        drop(self.stdin.take());
        match timeout(LINE, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            _ => Err(self.broken("it did not end well").await),
        }
    }

    /// What it wrote to stderr says why.
    async fn broken(&mut self, what: &str) -> Failure {
        _ = self.child.start_kill();
        let mut said = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            _ = stderr.read_to_string(&mut said).await;
        }
        let lines: Vec<&str> = said.lines().collect();
        let last = lines[lines.len().saturating_sub(12)..].join("\n");
        format!("{}: {what}\n{last}", self.name).into()
    }
}
