//! A server that answers as it is told, in the form that AWS documents for Glue.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use anybroker_patterns::schema::GlueConfig;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The answers to each operation, in order; the last one stays.
type Answers = HashMap<&'static str, VecDeque<(u16, String)>>;

pub(crate) struct Stub {
    pub(crate) config: GlueConfig,
    task: JoinHandle<()>,
}

/// A refusal of Glue's.
pub(crate) fn refusal(code: &str) -> (u16, String) {
    (400, json!({ "__type": code, "Message": "because" }).to_string())
}

pub(crate) fn answer(body: Value) -> (u16, String) {
    (200, body.to_string())
}

impl Stub {
    pub(crate) async fn open(answers: impl IntoIterator<Item = (&'static str, Vec<(u16, String)>)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Some(format!("http://{}", listener.local_addr().unwrap()));
        let answers: Answers = answers.into_iter().map(|(name, each)| (name, each.into())).collect();
        let answers = Arc::new(Mutex::new(answers));
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, answers.clone()));
            }
        });
        Stub { config: GlueConfig { endpoint, ..GlueConfig::new("us-east-1") }, task }
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One request a connection.
async fn serve(socket: TcpStream, answers: Arc<Mutex<Answers>>) {
    let mut socket = BufReader::new(socket);
    let (mut operation, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if socket.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("x-amz-target") => {
                operation = value.trim_start_matches("AWSGlue.").to_owned();
            }
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().unwrap();
            }
            Some(_) => {}
            None if line.trim_end().is_empty() => break,
            None => {}
        }
    }
    socket.read_exact(&mut vec![0; length]).await.unwrap();
    let (status, body) = next(&answers, &operation);
    let answer = format!(
        "HTTP/1.1 {status} .\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = socket.write_all(answer.as_bytes()).await;
}

fn next(answers: &Mutex<Answers>, operation: &str) -> (u16, String) {
    let mut answers = answers.lock().unwrap();
    match answers.get_mut(operation) {
        Some(left) if left.len() > 1 => left.pop_front().unwrap(),
        Some(left) => left[0].clone(),
        None => refusal("UnknownOperationException"),
    }
}
