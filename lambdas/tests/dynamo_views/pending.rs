//! The pending replications in DynamoDB.

mod contract {
    use crate::test_dynamo::TestDynamo;

    streamio_core::pending_replications_contract!(TestDynamo::new());
}
