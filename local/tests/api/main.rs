//! One suite of API scenarios that runs with every way to serve the API. The same requests must get the same responses,
//! byte for byte, except for times, random ids and signatures.
//!
//! A scenario ([`scenarios`]) uses only a [`session::Session`]: it sends requests, reads responses, and uses the
//! returned URLs at the object store and the CDN. A target ([`target`]) is a running platform and a way to send
//! requests to its API; all targets have the same projects ([`projects`]) and the same earlier events ([`history`]).
//! The transcripts of a scenario ([`exchange`]) are compared between the targets ([`comparison`]), and the log must not
//! contain any collected secret ([`secrets`], [`log`]).
//!
//! These differences are allowed and not compared:
//!
//! - current times, random ids and signatures, which are replaced by placeholders ([`placeholders`]);
//! - the order of response headers, and headers of the connection and framing ([`exchange`]);
//! - when a grant appears in a view: it may be recorded through a queue, so a scenario waits for what it reads
//!   ([`session::Call::until`]);
//! - the expiry of a repeated request, and the header `idempotency-replayed`, if the journal cannot be read
//!   ([`session::Session::forgets_grants`]);
//! - what the Worker's runtime does before the Worker receives a request (`scenarios/runtime.rs`).

mod comparison;
mod exchange;
mod history;
mod http_client;
mod log;
mod placeholders;
mod projects;
mod scenarios;
mod secrets;
mod session;
mod storage;
mod target;
