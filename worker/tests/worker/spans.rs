//! The spans that `tracing` sees.

use std::io::Write;
use std::sync::{Arc, Mutex};

use anybroker_core::Message;
use anybroker_worker::{Failure, Worker};
use tracing_subscriber::fmt::MakeWriter;

use crate::common::{Seen, broker, noting, publish, settled, subscription};

/// Lines that were logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_handler_logs_is_within_the_span_of_its_message() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let (broker, seen) = (broker("").await, Seen::default());
    publish(&broker, [Message::new("x").with_key("k").with_id("m-1")]).await;
    let handler = noting(&seen, |_| async {
        tracing::info!("looking for the order");
        Err(Failure::permanent("no such order"))
    });
    let worker = Worker::builder(broker.clone()).subscribe(subscription(), handler).build().unwrap();
    worker.run_until(settled(&broker)).await.unwrap();
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let line = |text: &str| log.lines().find(|line| line.contains(text)).unwrap_or_else(|| panic!("{log}"));
    for line in [line("looking for the order"), line("a message is hopeless")] {
        for field in [
            "process{",
            "messaging.system=\"memory\"",
            "messaging.operation.type=\"process\"",
            "messaging.destination.name=\"orders\"",
            "messaging.consumer.group.name=\"billing\"",
            "messaging.message.id=m-1",
            "messaging.destination.partition.id=",
            "anybroker.message.offset=0",
            "anybroker.message.attempt=1",
        ] {
            assert!(line.contains(field), "{field}: {line}");
        }
    }
    assert!(line("a message is hopeless").contains("error.type=\"permanent\""), "{log}");
    assert!(!line("looking for").contains("error.type"), "{log}");
}
