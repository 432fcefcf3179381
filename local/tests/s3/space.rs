//! A file system with little free space: bodies are refused, and everything else goes on.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::primitives::ByteStream;
use streamio_local::s3::StoreOptions;

use crate::server::{RAW, S3TestServer, pattern};

const RESERVE: u64 = 1_000;
const MIB: u64 = 1 << 20;

static AVAILABLE: AtomicU64 = AtomicU64::new(u64::MAX);

#[expect(clippy::unnecessary_wraps, reason = "the store's option is a function that may fail")]
fn available(_: &Path) -> std::io::Result<u64> {
    Ok(AVAILABLE.load(Ordering::SeqCst))
}

#[tokio::test]
async fn without_free_space_bodies_are_refused_and_everything_else_goes_on_until_there_is_space() {
    let options =
        StoreOptions { minimum_part_size: 1, free_space_reserve: RESERVE, available_space: available };
    let server = S3TestServer::start_with(options).await;
    let put = |key: &'static str, bytes: Vec<u8>| {
        server.client.put_object().bucket(RAW).key(key).body(ByteStream::from(bytes)).send()
    };
    put("first", pattern(1_000, 1)).await.unwrap();
    let upload = server.client.create_multipart_upload().bucket(RAW).key("parts").send().await.unwrap();
    let files = server.files();
    // Below the reserve, and enough at the beginning of a body that would leave too little.
    for (space, length) in [(RESERVE - 1, 1), (RESERVE + MIB, 3 << 20)] {
        AVAILABLE.store(space, Ordering::SeqCst);
        let refused = put("second", pattern(length, 2));
        if space < RESERVE {
            let error = refused.await.unwrap_err();
            assert_eq!(error.raw_response().unwrap().status().as_u16(), 503);
            assert_eq!(error.code(), Some("SlowDown"), "{error:?}");
            let part = server.client.upload_part().bucket(RAW).key("parts").part_number(1);
            let part = part.upload_id(upload.upload_id().unwrap()).body(ByteStream::from_static(b"x"));
            assert_eq!(part.send().await.unwrap_err().code(), Some("SlowDown"));
        } else {
            // Each batch of a body asks again.
            refused.await.unwrap();
            AVAILABLE.store(RESERVE + MIB - 1, Ordering::SeqCst);
            assert_eq!(put("third", pattern(length, 3)).await.unwrap_err().code(), Some("SlowDown"));
        }
    }
    AVAILABLE.store(0, Ordering::SeqCst);
    let read = server.client.get_object().bucket(RAW).key("first").send().await.unwrap();
    assert_eq!(read.content_length(), Some(1_000));
    server.client.delete_object().bucket(RAW).key("second").send().await.unwrap();
    assert_eq!(server.files(), files, "what was refused leaves nothing");
    AVAILABLE.store(u64::MAX, Ordering::SeqCst);
    put("third", pattern(1_000, 3)).await.unwrap();
}
