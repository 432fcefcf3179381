//! The CDN over the platform's object store.

use std::net::{IpAddr, Ipv4Addr};

use axum::body::to_bytes;
use http::{Request, StatusCode};
use streamio_local::cdn::{Cdn, StoreOrigin};
use streamio_local::s3::{ObjectHeaders, Store, StoreOptions, Watch};

use crate::clock::{ManualClock, NOW};
use crate::signer::{ANY, policy, signed};
use crate::viewer::{BASE, config};

struct Platform {
    store: Store,
    cdn: Cdn<StoreOrigin>,
    _directory: tempfile::TempDir,
}

impl Platform {
    async fn start() -> Self {
        crate::logging::collect();
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), StoreOptions::default()).await.unwrap();
        for bucket in ["raw", "processed"] {
            store.ensure_bucket(bucket, Watch::Off).await.unwrap();
        }
        let origin = StoreOrigin::new(store.clone(), "processed");
        let cdn = Cdn::new(origin, config(), ManualClock::at_now().for_cdn());
        Self { store, cdn, _directory: directory }
    }

    async fn put(&self, bucket: &str, key: &str, content_type: &str, bytes: &[u8]) -> String {
        let headers = ObjectHeaders::of_type(content_type);
        self.store.put_bytes(bucket, key, headers, bytes.to_vec()).await.unwrap().etag
    }

    async fn ask(&self, path: &str, range: Option<&str>) -> http::Response<axum::body::Body> {
        let url = signed(&format!("{BASE}/{path}"), &ANY.custom(&policy("*", NOW + 60, None, None)));
        let mut request = Request::builder().uri(url);
        if let Some(range) = range {
            request = request.header("range", range);
        }
        let head = request.body(()).unwrap().into_parts().0;
        self.cdn.answer(&head, IpAddr::V4(Ipv4Addr::LOCALHOST)).await
    }
}

async fn read(answer: http::Response<axum::body::Body>) -> Vec<u8> {
    to_bytes(answer.into_body(), usize::MAX).await.unwrap().to_vec()
}

#[tokio::test]
async fn an_object_comes_out_as_it_was_put_in() {
    let platform = Platform::start().await;
    let bytes: Vec<u8> = (0..700_000_u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let etag = platform.put("processed", "a b/é.mov", "video/quicktime", &bytes).await;
    let answer = platform.ask("a%20b/%C3%A9.mov", None).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["etag"], format!("\"{etag}\""));
    assert_eq!(answer.headers()["content-type"], "video/quicktime");
    assert_eq!(read(answer).await, bytes);
    for (first, last) in [(0, 0), (262_143, 262_144), (100, 699_999), (699_999, 800_000)] {
        let answer = platform.ask("a%20b/%C3%A9.mov", Some(&format!("bytes={first}-{last}"))).await;
        assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(read(answer).await, bytes[first..=last.min(699_999)]);
    }
}

#[tokio::test]
async fn nothing_outside_of_the_bucket_can_be_reached() {
    let platform = Platform::start().await;
    platform.put("raw", "secret.mp4", "video/mp4", b"raw").await;
    platform.put("processed", "public.mp4", "video/mp4", b"processed").await;
    assert_eq!(read(platform.ask("public.mp4", None).await).await, b"processed");
    for path in [
        "secret.mp4",
        "raw/secret.mp4",
        "/raw/secret.mp4",
        "../raw/secret.mp4",
        "..%2fraw%2fsecret.mp4",
        "%2e%2e/raw/secret.mp4",
        "processed/public.mp4",
        "public.mp4/",
        "public.mp4%00",
        "",
        "../../../../../etc/passwd",
        "%2fetc%2fpasswd",
    ] {
        assert_eq!(platform.ask(path, None).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let long = "x".repeat(5000);
    assert_eq!(platform.ask(&long, None).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_answer_that_has_begun_is_of_one_version() {
    let platform = Platform::start().await;
    let old = vec![1; 1_000_000];
    platform.put("processed", "clip.mp4", "video/mp4", &old).await;
    let begun = platform.ask("clip.mp4", None).await;
    platform.put("processed", "clip.mp4", "video/mp4", &[2; 10]).await;
    let after = platform.ask("clip.mp4", None).await;
    assert_ne!(begun.headers()["etag"], after.headers()["etag"]);
    assert_eq!(read(begun).await, old);
    assert_eq!(read(after).await, [2; 10]);
}
