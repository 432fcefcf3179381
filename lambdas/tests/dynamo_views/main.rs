//! The views in a local DynamoDB and in memory.

mod dead_letters;
mod deliveries;
mod dynamo;
mod feed;
mod fixtures;
mod large;
mod lost_responses;
mod memory;
mod pending;
mod projection;
mod rebuild;
mod replays;
mod replication;
mod slots;
mod stored;
mod tenants;
mod test_dynamo;
