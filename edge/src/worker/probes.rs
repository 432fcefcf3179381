//! What benchmarks and the test of panics call, in a Worker that is never deployed.

use std::cell::OnceCell;

use js_sys::Reflect;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::{JsFuture, future_to_promise};

use super::host;
use super::signer::HostSigner;
use crate::sign::cloudfront;
use crate::sign::key::{HashAlgorithm, SharedSigner, UrlSigner};
use crate::sign::policy::{Policy, Resource};
use crate::sign::s3::{AddressStyle, Bucket, BucketSigner, ObjectRequest};
use crate::sign::sigv4::Credentials;

/// A moment of 2026, in Unix seconds.
const NOW: i64 = 1_767_323_045;

/// Panics where a probe asks for it: before the request has waited for anything, or after.
pub(super) async fn panic_if_asked(path: &str) {
    match path {
        "/probes/panic-sync" => panic!("a probe asked for it"),
        "/probes/panic-async" => {
            let _ = JsFuture::from(host::pause(1)).await;
            panic!("a probe asked for it, later");
        }
        _ => {}
    }
}

fn text(env: &JsValue, name: &str) -> String {
    Reflect::get(env, &name.into()).ok().and_then(|value| value.as_string()).unwrap_or_default()
}

thread_local! {
    static BUCKET: OnceCell<BucketSigner> = const { OnceCell::new() };
}

/// Presigns `count` uploads to as many keys. Answers the length of all URLs.
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

/// Signs `count` policies with the key pair of `kind`, `ecdsa` or `rsa`. Answers a promise of the length of all queries.
#[wasm_bindgen(js_name = benchSignPolicy)]
pub fn bench_sign_policy(kind: &str, count: u32, env: &JsValue) -> JsValue {
    let name = if kind == "rsa" { "CDN_RSA_KEY" } else { "CDN_ECDSA_KEY" };
    let signer = HostSigner::new("K2JCJMDEHXQW5F".to_owned(), text(env, name));
    future_to_promise(async move {
        let mut sum = 0u32;
        for number in 0..count {
            sum = sum.wrapping_add(signed(&signer, number).await);
        }
        Ok(sum.into())
    })
    .into()
}

/// Asks for `count` signatures of policies of which eight are different. Answers as [`bench_sign_policy`].
#[wasm_bindgen(js_name = benchSharedPolicy)]
pub fn bench_shared_policy(count: u32, env: &JsValue) -> JsValue {
    let signer = SharedSigner::new(HostSigner::new("K2JCJMDEHXQW5F".to_owned(), text(env, "CDN_RSA_KEY")));
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
