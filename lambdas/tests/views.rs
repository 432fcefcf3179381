//! The views, on a DynamoDB of this machine and in memory.

#[path = "views/bed.rs"]
mod bed;
#[path = "views/dynamo.rs"]
mod dynamo;
#[path = "views/feed.rs"]
mod feed;
#[path = "views/given.rs"]
mod given;
#[path = "views/large.rs"]
mod large;
#[path = "views/letters.rs"]
mod letters;
#[path = "views/lost_answers.rs"]
mod lost_answers;
#[path = "views/memory.rs"]
mod memory;
#[path = "views/projection.rs"]
mod projection;
#[path = "views/rebuild.rs"]
mod rebuild;
#[path = "views/replication.rs"]
mod replication;
#[path = "views/tenants.rs"]
mod tenants;
