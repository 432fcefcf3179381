//! A request that differs from what was signed is refused.

use std::sync::LazyLock;

use http::{Method, Request};
use proptest::prelude::*;

use crate::clock::NOW;
use crate::memory_origin::MemoryOrigin;
use crate::signer::{ALL, OTHER_P256, P256, cookies, policy, signed};
use crate::test_cdn::{BASE, TestCdn};

const KEY: &str = "processed/acme/clip.mp4";

/// Signed URLs of one object, by every signer with a canned and a custom policy.
fn urls() -> &'static [String] {
    static URLS: LazyLock<Vec<String>> = LazyLock::new(|| {
        let url = format!("{BASE}/{KEY}?v=1");
        let exact = policy(&url, NOW + 60, Some(NOW - 60), Some("192.0.2.0/24"));
        ALL.iter()
            .flat_map(|signer| [signer.canned(&url, NOW + 60), signer.custom(&exact)])
            .map(|parameters| signed(&url, &parameters))
            .collect()
    });
    &URLS
}

fn test_cdn() -> TestCdn {
    TestCdn::with(MemoryOrigin::default().with(KEY, "video/mp4", "bytes"))
}

#[test]
fn unchanged_urls_are_accepted() {
    let cdn = test_cdn();
    for url in urls() {
        assert!(cdn.get(url).status.is_success(), "{url}");
    }
}

/// Whether a request is refused: 403, or 400 for a malformed URL. A 404 would mean that the change was accepted.
fn refused(cdn: &TestCdn, url: &str, headers: &[(&str, &str)]) -> bool {
    if Request::builder().uri(url).body(()).is_err() {
        return true;
    }
    matches!(cdn.request(&Method::GET, url, headers).status.as_u16(), 400 | 403)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_changed_character_of_a_signed_url_is_refused(
        which: prop::sample::Index,
        at: prop::sample::Index,
        replacement in prop::char::range('!', '~'),
    ) {
        let url = &urls()[which.index(urls().len())];
        let start = BASE.len() + 1;
        let at = start + at.index(url.len() - start);
        prop_assume!(!url[at..].starts_with(replacement));
        let changed = format!("{}{replacement}{}", &url[..at], &url[at + 1..]);
        prop_assert!(refused(&test_cdn(), &changed, &[]), "{}", changed);
    }

    #[test]
    fn any_removed_character_of_a_signed_url_is_refused(which: prop::sample::Index, at: prop::sample::Index) {
        let url = &urls()[which.index(urls().len())];
        let start = BASE.len() + 1;
        let at = start + at.index(url.len() - start);
        let changed = format!("{}{}", &url[..at], &url[at + 1..]);
        prop_assert!(refused(&test_cdn(), &changed, &[]), "{}", changed);
    }

    #[test]
    fn any_changed_character_of_signed_cookies_is_refused(
        which: prop::sample::Index,
        at: prop::sample::Index,
        replacement in prop::char::range('!', '~'),
    ) {
        let url = &urls()[which.index(urls().len())];
        let (url, parameters) = url.split_once('&').unwrap();
        let cookie = cookies(parameters);
        // The spaces between cookies are not significant.
        let at = at.index(cookie.len());
        prop_assume!(!cookie[at..].starts_with(replacement) && !cookie[at..].starts_with(' '));
        let changed = format!("{}{replacement}{}", &cookie[..at], &cookie[at + 1..]);
        prop_assert!(refused(&test_cdn(), url, &[("cookie", &changed)]), "{}", changed);
    }

    #[test]
    fn a_policy_with_a_changed_byte_is_refused(which: prop::sample::Index, at: prop::sample::Index, flip in 1..=255_u8) {
        let signer = ALL[which.index(ALL.len())];
        let text = policy(&format!("{BASE}/*"), NOW + 60, None, None);
        let url = signed(&format!("{BASE}/{KEY}"), &signer.custom(&text));
        let mut bytes = text.clone().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let changed = url.replace(&crate::signer::url_safe(text.as_bytes()), &crate::signer::url_safe(&bytes));
        prop_assert_ne!(&changed, &url);
        prop_assert!(refused(&test_cdn(), &changed, &[]), "{}", changed);
    }
}

#[test]
fn another_hash_another_key_and_another_expiry_are_refused() {
    let cdn = test_cdn();
    for url in urls() {
        let changes = [
            if url.contains("SHA256") {
                url.replace("&Hash-Algorithm=SHA256", "")
            } else {
                format!("{url}&Hash-Algorithm=SHA256")
            },
            if url.contains("SHA256") {
                url.replace("SHA256", "SHA1")
            } else {
                format!("{url}&Hash-Algorithm=MD5")
            },
            if url.contains(P256) {
                url.replace(P256, OTHER_P256)
            } else {
                url.replace(crate::signer::RSA, P256)
            },
            url.replace(&format!("Expires={}", NOW + 60), &format!("Expires={}", NOW + 61)),
            url.replace(KEY, "processed/acme/clip.mp5"),
            url.replace("v=1", "v=2"),
            url.replace("?v=1&", "?"),
        ];
        for changed in changes.iter().filter(|changed| *changed != url) {
            assert!(refused(&cdn, changed, &[]), "{changed}");
        }
    }
}

#[test]
fn the_path_is_compared_as_sent_and_never_normalised() {
    let cdn = TestCdn::with(
        MemoryOrigin::default()
            .with("a b.mp4", "", "bytes")
            .with("x/a b.mp4", "", "bytes")
            .with("/a b.mp4", "", "bytes"),
    );
    let url = format!("{BASE}/a%20b.mp4");
    let parameters = ALL[3].canned(&url, NOW + 60);
    assert!(cdn.get(&signed(&url, &parameters)).status.is_success());
    for same_key in
        ["/a%20%62.mp4", "/%61%20b.mp4", "/a%20b%2Emp4", "//a%20b.mp4", "/x/../a%20b.mp4", "/./a%20b.mp4"]
    {
        let url = format!("{BASE}{same_key}");
        assert!(refused(&cdn, &signed(&url, &parameters), &[]), "{url}");
    }
    let lower = format!("{BASE}/%c3%a9");
    let upper = format!("{BASE}/%C3%A9");
    assert!(refused(&cdn, &signed(&lower, &ALL[3].canned(&upper, NOW + 60)), &[]));
}

#[test]
fn dots_and_encodings_do_not_reach_objects_outside_the_policy() {
    let cdn = TestCdn::with(
        MemoryOrigin::default()
            .with("processed/acme/a.hls/x", "", "mine")
            .with("processed/other/b", "", "theirs")
            .with("processed/acme/b", "", "theirs"),
    );
    let parameters = ALL[3].custom(&policy(&format!("{BASE}/processed/acme/a.hls/*"), NOW + 60, None, None));
    assert_eq!(cdn.get(&signed(&format!("{BASE}/processed/acme/a.hls/x"), &parameters)).text(), "mine");
    for path in [
        "/processed/acme/a.hls/../b",
        "/processed/acme/a.hls/../../other/b",
        "/processed/acme/a.hls/%2e%2e/b",
        "/processed/acme/a.hls/..%2fb",
        "/processed/acme/a.hls/..%5cb",
        "/processed/acme/a.hls//processed/other/b",
    ] {
        let response = cdn.get(&signed(&format!("{BASE}{path}"), &parameters));
        assert_eq!(response.status.as_u16(), 404, "{path}");
    }
    for path in
        ["/processed/other/b", "/processed/acme/b", "/processed/acme/a.hls", "/processed/acme/a%2ehls/x"]
    {
        let response = cdn.get(&signed(&format!("{BASE}{path}"), &parameters));
        assert_eq!(response.status.as_u16(), 403, "{path}");
    }
}
