//! The views, on a DynamoDB of this machine and in memory.

#[path = "views/bed.rs"]
mod bed;
#[path = "views/dynamo.rs"]
mod dynamo;
#[path = "views/feed.rs"]
mod feed;
#[path = "views/given.rs"]
mod given;
#[path = "views/letters.rs"]
mod letters;
#[path = "views/tenants.rs"]
mod tenants;
