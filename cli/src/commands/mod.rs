//! One file or folder for each command.

pub(crate) mod bench;
pub(crate) mod brokers;
pub(crate) mod catalogue;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod conform;
pub(crate) mod database;
pub(crate) mod dead_letters;
pub(crate) mod doctor;
pub(crate) mod groups;
pub(crate) mod guarantees;
pub(crate) mod lag;
pub(crate) mod migrate;
pub(crate) mod outbox;
pub(crate) mod profiles;
pub(crate) mod projection;
pub(crate) mod publish;
pub(crate) mod relay;
pub(crate) mod report;
pub(crate) mod saga;
pub(crate) mod schema;
pub(crate) mod subscribe;
pub(crate) mod topics;
