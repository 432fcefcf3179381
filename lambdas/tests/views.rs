//! The views, on a DynamoDB of this machine and in memory.

#[path = "views/bed.rs"]
mod bed;
#[path = "views/dynamo.rs"]
mod dynamo;
