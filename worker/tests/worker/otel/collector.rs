//! An OTLP collector in this process: HTTP, protobuf.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, OnceLock};

use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use prost::Message;

/// What was exported, and what exports.
pub(crate) struct Collector {
    spans: Arc<Mutex<Vec<Span>>>,
    metrics: Arc<Mutex<Vec<Metric>>>,
    tracers: SdkTracerProvider,
    meters: SdkMeterProvider,
}

/// The one collector, which the global providers export to.
pub(crate) fn collector() -> &'static Collector {
    static COLLECTOR: OnceLock<Collector> = OnceLock::new();
    COLLECTOR.get_or_init(Collector::start)
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (spans, metrics) = (Arc::<Mutex<Vec<Span>>>::default(), Arc::<Mutex<Vec<Metric>>>::default());
        let (into_spans, into_metrics) = (spans.clone(), metrics.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (path, body) = take(stream.unwrap());
                match path.as_str() {
                    "/v1/traces" => {
                        let all = ExportTraceServiceRequest::decode(&body[..]).unwrap().resource_spans;
                        let scopes = all.into_iter().flat_map(|it| it.scope_spans);
                        into_spans.lock().unwrap().extend(scopes.flat_map(|it| it.spans));
                    }
                    "/v1/metrics" => {
                        let all = ExportMetricsServiceRequest::decode(&body[..]).unwrap().resource_metrics;
                        let scopes = all.into_iter().flat_map(|it| it.scope_metrics);
                        into_metrics.lock().unwrap().extend(scopes.flat_map(|it| it.metrics));
                    }
                    other => panic!("{other}"),
                }
            }
        });
        let client = Client(address);
        let exporter = SpanExporter::builder().with_http().with_http_client(client.clone());
        let exporter = exporter.with_endpoint(format!("http://{address}/v1/traces")).build().unwrap();
        let tracers = SdkTracerProvider::builder().with_batch_exporter(exporter).build();
        let exporter = MetricExporter::builder().with_http().with_http_client(client);
        let exporter = exporter.with_endpoint(format!("http://{address}/v1/metrics")).build().unwrap();
        let meters = SdkMeterProvider::builder().with_periodic_exporter(exporter).build();
        opentelemetry::global::set_tracer_provider(tracers.clone());
        opentelemetry::global::set_meter_provider(meters.clone());
        Collector { spans, metrics, tracers, meters }
    }

    /// The spans on this topic so far, and those that have nothing to do with messages.
    pub(crate) fn spans(&self, topics: &[&str]) -> Vec<Seen> {
        self.tracers.force_flush().unwrap();
        let all: Vec<_> = self.spans.lock().unwrap().iter().map(Seen::of).collect();
        let topic = |it: &Seen| it.attributes.get("messaging.destination.name").cloned();
        all.into_iter().filter(|it| topic(it).is_none_or(|topic| topics.contains(&&*topic))).collect()
    }

    /// The metrics as they are now.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        self.meters.force_flush().unwrap();
        self.metrics.lock().unwrap().clone()
    }
}

/// A span, easy to look at.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) name: String,
    pub(crate) kind: i32,
    pub(crate) trace: String,
    pub(crate) id: String,
    pub(crate) parent: String,
    pub(crate) failed: bool,
    pub(crate) attributes: BTreeMap<String, String>,
    /// The linked spans, with the message's id where the link tells.
    pub(crate) links: Vec<(String, Option<String>)>,
}

impl Seen {
    fn of(span: &Span) -> Self {
        let id = |link: &[KeyValue]| attributes(link).get("messaging.message.id").cloned();
        Seen {
            name: span.name.clone(),
            kind: span.kind,
            trace: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            failed: span.status.as_ref().is_some_and(|status| status.code == 2),
            attributes: attributes(&span.attributes),
            links: span.links.iter().map(|link| (hex(&link.span_id), id(&link.attributes))).collect(),
        }
    }

    pub(crate) fn has(&self, name: &str, value: &str) -> bool {
        self.attributes.get(name).is_some_and(|it| it == value)
    }
}

pub(crate) fn attributes(all: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |it: &KeyValue| match it.value.as_ref().and_then(|it| it.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("{other:?}"),
    };
    all.iter().map(|it| (it.key.clone(), text(it))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads one request and answers it.
fn take(mut stream: TcpStream) -> (String, Vec<u8>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let path = line.split(' ').nth(1).unwrap().to_owned();
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        match line.trim_end().to_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().unwrap(),
            Some(("content-type", value)) => assert_eq!(value, "application/x-protobuf"),
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    (path, body)
}

/// As much of a client as the exporter needs; it blocks the exporter's own thread.
#[derive(Clone, Debug)]
struct Client(SocketAddr);

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let mut stream = TcpStream::connect(self.0)?;
        let mut head = format!("POST {} HTTP/1.1\r\n", request.uri().path());
        for (name, value) in request.headers() {
            head.push_str(&format!("{name}: {}\r\n", value.to_str()?));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", request.body().len()));
        stream.write_all(head.as_bytes())?;
        stream.write_all(request.body())?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer)?;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        Ok(Response::new(Bytes::new()))
    }
}
