//! Exports for benchmarks and for the test of panics, in a Worker that is never deployed.

use std::cell::OnceCell;
use std::time::Duration;

use js_sys::Reflect;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::future_to_promise;

use super::pause::RuntimePause;
use super::signer::NodeSigner;
use crate::playlist::{Links, rewrite};
use crate::ports::Pause as _;
use crate::sign::cloudfront;
use crate::sign::key::{HashAlgorithm, SharedSigner, UrlSigner};
use crate::sign::policy::{Policy, Resource};
use crate::sign::s3::{AddressStyle, Bucket, BucketSigner, ObjectRequest};
use crate::sign::sigv4::Credentials;

/// A time in 2026, in Unix seconds.
const NOW: i64 = 1_767_323_045;

/// Panics when the path is that of a probe: before the request has waited for anything, or after.
pub(super) async fn panic_if_requested(path: &str) {
    match path {
        "/probes/panic-sync" => panic!("a probe requested it"),
        "/probes/panic-async" => {
            RuntimePause.pause(Duration::from_millis(1)).await;
            panic!("a probe requested it, later");
        }
        "/probes/panic-formatted" => panic!("a probe requested it for {}", u64::from(u32::MAX) + 1),
        _ => {}
    }
}

fn text(env: &JsValue, name: &str) -> String {
    Reflect::get(env, &name.into()).ok().and_then(|value| value.as_string()).unwrap_or_default()
}

thread_local! {
    static BUCKET: OnceCell<BucketSigner> = const { OnceCell::new() };
}

/// Presigns `count` uploads to as many keys. Returns the length of all URLs.
#[wasm_bindgen(js_name = benchPresign)]
pub fn bench_presign(count: u32, env: &JsValue) -> f64 {
    BUCKET.with(|signer| {
        let signer = signer.get_or_init(|| {
            let credentials =
                Credentials::new(&text(env, "S3_ACCESS_KEY_ID"), &text(env, "S3_SECRET_ACCESS_KEY"));
            let bucket = Bucket::new(
                &text(env, "S3_ENDPOINT"),
                &text(env, "AWS_REGION"),
                &text(env, "S3_RAW_BUCKET"),
                AddressStyle::Path,
            );
            BucketSigner::new(bucket.expect("a bucket"), credentials.expect("credentials"))
        });
        let mut sum = 0u32;
        for number in 0..count {
            let put = ObjectRequest::put(["projects/acme/films/clip-", &number.to_string(), ".mp4"].concat());
            let url = signer.presign(&put, 900, NOW).expect("a request that can be signed");
            sum = sum.wrapping_add(length(url.as_str()));
        }
        sum.into()
    })
}

/// Rewrites the media playlist `source` `count` times. Returns the length of all results.
#[wasm_bindgen(js_name = benchRewritePlaylist)]
pub fn bench_rewrite_playlist(count: u32, source: &str) -> f64 {
    let query = format!(
        "Policy={}&Signature={}&Key-Pair-Id=K2JCJMDEHXQW5F&Hash-Algorithm=SHA256",
        "p".repeat(240),
        "s".repeat(96)
    );
    let cdn = "https://d111111abcdef8.cloudfront.net";
    let playlist = [cdn, "/processed/acme/films/clip.mp4.hls/g1-a1/720p/video.m3u8"].concat();
    let links = Links::new((cdn, &playlist), "https://api.example/play", &query, &query);
    let links = links.expect("a playlist of the CDN");
    let mut sum = 0.0;
    for _ in 0..count {
        let rewritten = rewrite(source.as_bytes(), &links).expect("a playlist");
        sum += f64::from(u32::try_from(rewritten.len()).expect("a bounded length"));
    }
    sum
}

/// Signs `count` policies with the key pair of `kind`, `ecdsa` or `rsa`. Returns a promise of the length of all queries.
#[wasm_bindgen(js_name = benchSignPolicy)]
pub fn bench_sign_policy(kind: &str, count: u32, env: &JsValue) -> JsValue {
    let name = if kind == "rsa" { "CDN_RSA_KEY" } else { "CDN_ECDSA_KEY" };
    let signer = NodeSigner::new("K2JCJMDEHXQW5F".to_owned(), text(env, name));
    future_to_promise(async move {
        let mut sum = 0u32;
        for number in 0..count {
            sum = sum.wrapping_add(signed(&signer, number).await);
        }
        Ok(sum.into())
    })
    .into()
}

/// Requests `count` signatures of eight different policies. Returns what [`bench_sign_policy`] returns.
#[wasm_bindgen(js_name = benchSharedPolicy)]
pub fn bench_shared_policy(count: u32, env: &JsValue) -> JsValue {
    let signer = SharedSigner::new(NodeSigner::new("K2JCJMDEHXQW5F".to_owned(), text(env, "CDN_RSA_KEY")));
    future_to_promise(async move {
        let mut sum = 0u32;
        for number in 0..count {
            sum = sum.wrapping_add(signed(&signer, number % 8).await);
        }
        Ok(sum.into())
    })
    .into()
}

async fn signed(signer: &dyn UrlSigner, number: u32) -> u32 {
    let folder = format!("https://d111111abcdef8.cloudfront.net/processed/acme/clip-{number:08}.mp4.hls/*");
    let resource = Resource::wildcard(&folder).expect("a resource");
    let policy = Policy::custom(resource, NOW + 3600).expect("a policy");
    let grant = cloudfront::sign(signer, HashAlgorithm::Sha256, policy).await.expect("a signature");
    length(&grant.query())
}

fn length(text: &str) -> u32 {
    u32::try_from(text.len()).expect("URLs are short")
}
