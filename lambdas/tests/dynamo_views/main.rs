//! The views, on a DynamoDB of this machine and in memory.

mod bed;
mod dynamo;
mod feed;
mod given;
mod large;
mod letters;
mod lost_answers;
mod memory;
mod projection;
mod rebuild;
mod replication;
mod tenants;
