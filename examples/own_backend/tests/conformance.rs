//! Everything that the backend promises, proved: `cargo test -p own-backend --test conformance`.

use anybroker_conformance::{subject::Subject, suite};

fn main() -> std::process::ExitCode {
    let broker = own_backend::connect();
    let shelf = Subject::new("shelf", "shelf://", move |_url| std::future::ready(Ok(broker.clone())));
    suite(vec![shelf])
}
