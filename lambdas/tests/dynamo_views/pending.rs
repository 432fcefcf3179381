//! The pending replications in DynamoDB.

use aws_sdk_dynamodb::types::AttributeValue;
use streamio_core::ports::pending_replications::{PendingReplication, PendingReplications as _};

use crate::fixtures::{project, start};
use crate::test_dynamo::{TABLE, TestDynamo};

mod contract {
    use crate::test_dynamo::TestDynamo;

    streamio_core::pending_replications_contract!(TestDynamo::new());
}

/// Items that are no entries: without a project, without a version, and with an invalid project.
#[tokio::test]
async fn an_item_that_is_not_an_entry_hides_no_entry_behind_it() {
    let dynamo = TestDynamo::new();
    let views = dynamo.views().await;
    let text = |value: &str| AttributeValue::S(value.to_owned());
    for (pk, sk, project) in [
        ("replication-due", "2020-01-01T00:00:00.000Z#0", None),
        ("replication-due", "2020-01-01T00:00:00.000Z#1", Some("NOT A PROJECT")),
        ("pending-replication", "acme", None),
    ] {
        let put = dynamo.client().put_item().table_name(TABLE).item("pk", text(pk)).item("sk", text(sk));
        let put = match project {
            Some(project) => put.item("project", text(project)),
            None => put,
        };
        put.send().await.unwrap();
    }
    let project_id = project("acme");
    let id = views.add(&project_id, start()).await.unwrap();
    let entry = PendingReplication { id, project_id };
    for limit in [1, 2, 100] {
        assert_eq!(views.due(start(), limit).await.unwrap(), std::slice::from_ref(&entry), "at most {limit}");
    }
}
