//! The emulators start empty and end when their value is dropped.

use std::net::TcpStream;

use streamio_events::emulators::{LocalDynamo, LocalKinesis};

#[tokio::test]
async fn a_dynamo_starts_empty_and_ends_when_it_is_dropped() {
    let dynamo = LocalDynamo::start().unwrap();
    let tables = dynamo.client().list_tables().send().await.unwrap();
    assert!(tables.table_names().is_empty());
    let address = dynamo.endpoint().replace("http://", "");
    drop(dynamo);
    TcpStream::connect(address).unwrap_err();
}

#[tokio::test]
async fn a_kinesis_starts_empty_and_ends_when_it_is_dropped() {
    let kinesis = LocalKinesis::start().unwrap();
    let streams = kinesis.client().list_streams().send().await.unwrap();
    assert!(streams.stream_names().is_empty());
    let address = kinesis.endpoint().replace("http://", "");
    drop(kinesis);
    TcpStream::connect(address).unwrap_err();
}
