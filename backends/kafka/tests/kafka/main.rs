//! Against a real broker: `ANYBROKER_KAFKA_URL`, or the one on this machine. Without a broker these tests fail.

mod support;

mod close;
mod consume;
mod mistakes;
mod poison;
mod publish;
mod topics;
