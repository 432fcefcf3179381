//! The CDN with the cdn's object store as its origin.

use std::net::{IpAddr, Ipv4Addr};

use axum::body::to_bytes;
use http::{Request, StatusCode};
use streamio_local::cdn::{Cdn, StoreOrigin};
use streamio_local::s3::{ObjectHeaders, Store, StoreOptions, Watch};

use crate::clock::{ManualClock, NOW};
use crate::signer::{ANY, policy, signed};
use crate::test_cdn::{BASE, config};

struct StoreCdn {
    store: Store,
    cdn: Cdn<StoreOrigin>,
    _directory: tempfile::TempDir,
}

impl StoreCdn {
    async fn start() -> Self {
        crate::log::collect();
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

    async fn request(&self, path: &str, range: Option<&str>) -> http::Response<axum::body::Body> {
        let url = signed(&format!("{BASE}/{path}"), &ANY.custom(&policy("*", NOW + 60, None, None)));
        let mut request = Request::builder().uri(url);
        if let Some(range) = range {
            request = request.header("range", range);
        }
        let head = request.body(()).unwrap().into_parts().0;
        self.cdn.handle_request(&head, IpAddr::V4(Ipv4Addr::LOCALHOST)).await
    }
}

async fn read(response: http::Response<axum::body::Body>) -> Vec<u8> {
    to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec()
}

#[tokio::test]
async fn an_object_is_served_as_it_was_stored() {
    let cdn = StoreCdn::start().await;
    let bytes: Vec<u8> = (0..700_000_u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let etag = cdn.put("processed", "a b/é.mov", "video/quicktime", &bytes).await;
    let response = cdn.request("a%20b/%C3%A9.mov", None).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["etag"], format!("\"{etag}\""));
    assert_eq!(response.headers()["content-type"], "video/quicktime");
    assert_eq!(read(response).await, bytes);
    for (first, last) in [(0, 0), (262_143, 262_144), (100, 699_999), (699_999, 800_000)] {
        let response = cdn.request("a%20b/%C3%A9.mov", Some(&format!("bytes={first}-{last}"))).await;
        assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(read(response).await, bytes[first..=last.min(699_999)]);
    }
}

#[tokio::test]
async fn objects_outside_of_the_bucket_are_not_served() {
    let cdn = StoreCdn::start().await;
    cdn.put("raw", "secret.mp4", "video/mp4", b"raw").await;
    cdn.put("processed", "public.mp4", "video/mp4", b"processed").await;
    assert_eq!(read(cdn.request("public.mp4", None).await).await, b"processed");
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
        assert_eq!(cdn.request(path, None).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let long = "x".repeat(5000);
    assert_eq!(cdn.request(&long, None).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_response_is_one_version_of_the_object() {
    let cdn = StoreCdn::start().await;
    let old = vec![1; 1_000_000];
    cdn.put("processed", "clip.mp4", "video/mp4", &old).await;
    let before = cdn.request("clip.mp4", None).await;
    cdn.put("processed", "clip.mp4", "video/mp4", &[2; 10]).await;
    let after = cdn.request("clip.mp4", None).await;
    assert_ne!(before.headers()["etag"], after.headers()["etag"]);
    assert_eq!(read(before).await, old);
    assert_eq!(read(after).await, [2; 10]);
}
