//! One suite of conversations with the API, held with every way to run it: the same requests must get the same answers,
//! byte for byte, but for times, random ids and signatures.
//!
//! A scenario ([`scenarios`]) knows only a [`session::Session`]: it sends requests, reads answers, and uses the URLs that
//! it gets at the object store and the CDN. A target ([`target`]) is a running platform, with the same projects
//! ([`projects`]) and the same past ([`history`]) as every other, and a way to send to its API. Each scenario's
//! transcript ([`exchange`]) is compared between the targets ([`comparison`]), and no secret that was seen may be in the
//! log ([`secrets`], [`log`]).
//!
//! What may differ, and so is not compared:
//!
//! - times of the present, random ids and signatures, for which placeholders stand ([`placeholders`]);
//! - the order of an answer's headers, and headers about its connection and framing ([`exchange`]);
//! - when a grant is seen in a view: it may come by a queue, so that a scenario waits for what it reads
//!   ([`session::Call::until`]);
//! - the upload of parts that a repeated request begins, by a journal that cannot be asked ([`session::Session::forgets_uploads`]);
//! - what the Worker's runtime does before the Worker has a request (`scenarios/runtime.rs`).

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
