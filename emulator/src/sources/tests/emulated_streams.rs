//! Tests of the readers with kinesalite and dynoxide: the form of events, also as the crate `aws_lambda_events` parses them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::event::dynamodb::Event as DynamoEvent;
use aws_lambda_events::event::kinesis::KinesisEvent;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    StreamSpecification, StreamViewType,
};
use aws_smithy_types::Blob;
use serde_json::{Value, json};
use streamio_events::emulators::{LocalDynamo, LocalKinesis};
use tokio::time::{sleep, timeout};

use super::super::{DynamoSource, KinesisSource, Mapping, MappingConfig};
use super::memory::RecordingFunction;
use crate::cloud::tables::streams_client;
use crate::lambda::Invoke;

async fn wait_until_caught_up(mapping: &Mapping) {
    timeout(Duration::from_secs(30), mapping.wait_until_caught_up()).await.expect("the mapping catches up");
}

async fn put(client: &aws_sdk_kinesis::Client, key: &str, data: &str) {
    let request = client.put_record().stream_name("facts").partition_key(key).data(Blob::new(data));
    request.send().await.unwrap();
}

#[tokio::test]
async fn a_kinesis_stream_is_read_with_the_shards_of_a_split() {
    let kinesis = LocalKinesis::start().unwrap();
    let client = kinesis.client();
    client.create_stream().stream_name("facts").shard_count(1).send().await.unwrap();
    // The stream becomes active shortly after the response.
    while client.describe_stream_summary().stream_name("facts").send().await.is_ok_and(|it| {
        it.stream_description_summary().is_some_and(|it| it.stream_status().as_str() != "ACTIVE")
    }) {
        sleep(Duration::from_millis(5)).await;
    }
    let source = KinesisSource::open(client.clone(), "facts").await.unwrap();
    let function = RecordingFunction::succeeding();
    let mapping = Mapping::start(MappingConfig::new("f"), source, Arc::clone(&function) as Arc<dyn Invoke>);
    for number in 0..5 {
        put(&client, "a", &number.to_string()).await;
    }
    wait_until_caught_up(&mapping).await;
    let split = client.split_shard().stream_name("facts").shard_to_split("shardId-000000000000");
    split.new_starting_hash_key((1_u128 << 127).to_string()).send().await.unwrap();
    for number in 5..25 {
        let mut tries = 0;
        let key = format!("key{number}");
        loop {
            let request = client.put_record().stream_name("facts").partition_key(&key);
            match request.data(Blob::new(number.to_string())).send().await {
                Ok(_) => break,
                Err(error) if tries > 200 => panic!("{error:?}"),
                Err(_) => tries += 1,
            }
            sleep(Duration::from_millis(10)).await;
        }
    }
    wait_until_caught_up(&mapping).await;
    mapping.stop().await;

    let batches = function.batches();
    let event = json!({ "Records": batches.concat() });
    let typed: KinesisEvent = serde_json::from_value(event.clone()).unwrap();
    let mut data: Vec<u32> = typed
        .records
        .iter()
        .map(|record| String::from_utf8_lossy(&record.kinesis.data).parse().unwrap())
        .collect();
    assert_eq!(data[..5], [0, 1, 2, 3, 4]);
    data.sort_unstable();
    assert_eq!(data, (0..25).collect::<Vec<_>>());
    let shards: BTreeSet<&str> = batches
        .iter()
        .flatten()
        .map(|it| it["eventID"].as_str().unwrap().split(':').next().unwrap())
        .collect();
    assert_eq!(shards.len(), 3, "{shards:?}");

    let mut first = event["Records"][0].clone();
    let arrived = first["kinesis"]["approximateArrivalTimestamp"].as_f64().unwrap();
    assert!(arrived > 1_500_000_000.0 && arrived < 5_000_000_000.0, "seconds: {arrived}");
    let sequence = first["kinesis"]["sequenceNumber"].as_str().unwrap().to_owned();
    assert_eq!(first["eventID"], format!("shardId-000000000000:{sequence}"));
    first["kinesis"]["approximateArrivalTimestamp"] = 0.into();
    first["kinesis"]["sequenceNumber"] = "1".into();
    first["eventID"] = "id".into();
    insta::assert_snapshot!(serde_json::to_string_pretty(&first).unwrap(), @r#"
    {
      "awsRegion": "us-east-1",
      "eventID": "id",
      "eventName": "aws:kinesis:record",
      "eventSource": "aws:kinesis",
      "eventSourceARN": "arn:aws:kinesis:us-east-1:000000000000:stream/facts",
      "eventVersion": "1.0",
      "invokeIdentityArn": "arn:aws:iam::000000000000:role/emulated",
      "kinesis": {
        "approximateArrivalTimestamp": 0,
        "data": "MA==",
        "kinesisSchemaVersion": "1.0",
        "partitionKey": "a",
        "sequenceNumber": "1"
      }
    }
    "#);
}

#[tokio::test]
async fn a_dynamodb_stream_is_read_with_images_of_typed_attributes() {
    let dynamo = LocalDynamo::start().unwrap();
    let client = dynamo.client();
    let key = AttributeDefinition::builder().attribute_name("pk").attribute_type(ScalarAttributeType::S);
    let schema = KeySchemaElement::builder().attribute_name("pk").key_type(KeyType::Hash);
    let stream = StreamSpecification::builder().stream_enabled(true);
    let table = client
        .create_table()
        .table_name("ledger")
        .attribute_definitions(key.build().unwrap())
        .key_schema(schema.build().unwrap())
        .billing_mode(BillingMode::PayPerRequest)
        .stream_specification(stream.stream_view_type(StreamViewType::NewAndOldImages).build().unwrap())
        .send()
        .await
        .unwrap();
    let arn = table.table_description().unwrap().latest_stream_arn().unwrap().to_owned();
    let source = DynamoSource::new(streams_client(&dynamo), &arn);
    let function = RecordingFunction::succeeding();
    let mapping = Mapping::start(MappingConfig::new("f"), source, Arc::clone(&function) as Arc<dyn Invoke>);

    let values = HashMap::from([
        ("pk".to_owned(), AttributeValue::S("a".into())),
        ("number".to_owned(), AttributeValue::N("1.50".into())),
        ("bytes".to_owned(), AttributeValue::B(Blob::new([0, 1, 255]))),
        ("flag".to_owned(), AttributeValue::Bool(true)),
        ("nothing".to_owned(), AttributeValue::Null(true)),
        ("texts".to_owned(), AttributeValue::Ss(vec!["x".into()])),
        ("numbers".to_owned(), AttributeValue::Ns(vec!["7".into()])),
        ("blobs".to_owned(), AttributeValue::Bs(vec![Blob::new([1])])),
        ("list".to_owned(), AttributeValue::L(vec![AttributeValue::N("1".into())])),
        (
            "map".to_owned(),
            AttributeValue::M(HashMap::from([("m".to_owned(), AttributeValue::S("n".into()))])),
        ),
    ]);
    client.put_item().table_name("ledger").set_item(Some(values)).send().await.unwrap();
    let change = client.put_item().table_name("ledger").item("pk", AttributeValue::S("a".into()));
    change.send().await.unwrap();
    let removal = client.delete_item().table_name("ledger").key("pk", AttributeValue::S("a".into()));
    removal.send().await.unwrap();
    wait_until_caught_up(&mapping).await;
    mapping.stop().await;

    let records: Vec<Value> = function.batches().concat();
    let names: Vec<&str> = records.iter().map(|record| record["eventName"].as_str().unwrap()).collect();
    assert_eq!(names, ["INSERT", "MODIFY", "REMOVE"]);
    let typed: DynamoEvent = serde_json::from_value(json!({ "Records": records })).unwrap();
    assert_eq!(typed.records[0].change.new_image.len(), 10);
    assert_eq!(typed.records[2].change.old_image.len(), 1);

    let mut first = records[0].clone();
    let created = first["dynamodb"]["ApproximateCreationDateTime"].as_f64().unwrap();
    assert!(created > 1_500_000_000.0 && created < 5_000_000_000.0, "seconds: {created}");
    assert_eq!(first["eventSourceARN"], arn);
    for (pointer, value) in [
        ("/dynamodb/ApproximateCreationDateTime", json!(0)),
        ("/dynamodb/SequenceNumber", json!("1")),
        ("/eventID", json!("id")),
        ("/eventSourceARN", json!("arn")),
    ] {
        *first.pointer_mut(pointer).unwrap() = value;
    }
    insta::assert_snapshot!(serde_json::to_string_pretty(&first).unwrap(), @r#"
    {
      "awsRegion": "dynoxide",
      "dynamodb": {
        "ApproximateCreationDateTime": 0,
        "Keys": {
          "pk": {
            "S": "a"
          }
        },
        "NewImage": {
          "blobs": {
            "BS": [
              "AQ=="
            ]
          },
          "bytes": {
            "B": "AAH/"
          },
          "flag": {
            "BOOL": true
          },
          "list": {
            "L": [
              {
                "N": "1"
              }
            ]
          },
          "map": {
            "M": {
              "m": {
                "S": "n"
              }
            }
          },
          "nothing": {
            "NULL": true
          },
          "number": {
            "N": "1.5"
          },
          "numbers": {
            "NS": [
              "7"
            ]
          },
          "pk": {
            "S": "a"
          },
          "texts": {
            "SS": [
              "x"
            ]
          }
        },
        "SequenceNumber": "1",
        "SizeBytes": 240,
        "StreamViewType": "NEW_AND_OLD_IMAGES"
      },
      "eventID": "id",
      "eventName": "INSERT",
      "eventSource": "aws:dynamodb",
      "eventSourceARN": "arn",
      "eventVersion": "1.1"
    }
    "#);
}
