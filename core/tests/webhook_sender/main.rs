//! Tests of the sender of webhooks over real sockets: what it records of each answer and failure, and that a tenant's URL never leads it
//! into the operator's network.

mod answers;
mod certificates;
mod failures;
mod fixtures;
mod hostile;
mod lookups;
mod names;
mod slow;
mod tls;
