//! The slots of projects in DynamoDB.

mod contract {
    use crate::test_dynamo::TestDynamo;

    streamio_core::encode_slots_contract!(TestDynamo::new());
}
