//! What must hold for every parser of bytes from outside: one module per fuzz target, each with a function `check`.
//!
//! A check takes any bytes and panics if a law is broken: what is accepted is printed and parsed again unchanged, obeys the documented
//! grammar or agrees with an independent implementation, and results are bounded. `cargo xtask fuzz` runs the checks under libFuzzer.
//! The test `inputs` runs them over the committed inputs, without it.

mod api;
mod text;

pub mod api_key;
pub mod api_request;
pub mod checkpoint;
pub mod checksum;
pub mod chunked_body;
pub mod commit;
pub mod conditional_request;
pub mod cors;
pub mod cursor;
pub mod encoder_output;
pub mod fact;
pub mod home;
pub mod identifier;
pub mod limit;
pub mod media_index;
pub mod media_playlist;
pub mod media_structure;
pub mod notification;
pub mod object_key;
pub mod packet_list;
pub mod pem;
pub mod playlist;
pub mod policy;
pub mod probe_report;
pub mod put_records;
pub mod range;
pub mod s3_document;
pub mod s3_signature;
pub mod settings;
pub mod signed_url;
pub mod store_response;
pub mod tenant;
pub mod tlog_proof;

/// A fuzz target.
pub struct Target {
    /// The name, which is that of the module, of the program and of the folders with inputs.
    pub name: &'static str,
    /// What it checks of any bytes. Panics if a law is broken.
    pub check: fn(&[u8]),
}

macro_rules! targets {
    ($($name:ident),* $(,)?) => {
        /// All targets.
        pub const TARGETS: &[Target] = &[$(Target { name: stringify!($name), check: $name::check }),*];
    };
}

targets![
    api_key,
    api_request,
    checkpoint,
    checksum,
    chunked_body,
    commit,
    conditional_request,
    cors,
    cursor,
    encoder_output,
    fact,
    home,
    identifier,
    limit,
    media_index,
    media_playlist,
    media_structure,
    notification,
    object_key,
    packet_list,
    pem,
    playlist,
    policy,
    probe_report,
    put_records,
    range,
    s3_document,
    s3_signature,
    settings,
    signed_url,
    store_response,
    tenant,
    tlog_proof,
];
