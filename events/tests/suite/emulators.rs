//! The emulations that adapters are tested on start empty and end with their value.

use std::net::TcpStream;

use streamio_events::emulators::{LocalDynamo, LocalKinesis};

#[tokio::test]
async fn a_dynamo_is_empty_at_its_start_and_ends_with_its_value() {
    let dynamo = LocalDynamo::start().unwrap();
    let tables = dynamo.client().list_tables().send().await.unwrap();
    assert!(tables.table_names().is_empty());
    let address = dynamo.endpoint().replace("http://", "");
    drop(dynamo);
    TcpStream::connect(address).unwrap_err();
}

#[tokio::test]
async fn a_kinesis_is_empty_at_its_start_and_ends_with_its_value() {
    let kinesis = LocalKinesis::start().unwrap();
    let streams = kinesis.client().list_streams().send().await.unwrap();
    assert!(streams.stream_names().is_empty());
    let address = kinesis.endpoint().replace("http://", "");
    drop(kinesis);
    TcpStream::connect(address).unwrap_err();
}
