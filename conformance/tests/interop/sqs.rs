//! SQS FIFO, by boto3; the server is ElasticMQ.

use crate::target::Target;

pub(crate) const TARGET: Target = Target {
    name: "sqs",
    process: "elasticmq",
    parameters: "",
    program: "sqs.py",
    address: |url| {
        let region = url.hosts.first().map_or("us-east-1", |(region, _)| region.as_str());
        let endpoint = url.parameters().text("endpoint").unwrap_or_default();
        vec![region.to_owned(), endpoint]
    },
    source: |topic, _, count| vec![topic.to_string(), count.to_string()],
    keeps_order_of_headers: true,
    cannot: &[],
    gives_an_id: true,
    keeps_partition_key: false,
    modes: &["binary", "structured"],
    own: &[],
};
