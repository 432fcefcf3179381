//! All combinations of key types, hash algorithms, kinds of policies, and URLs or cookies.

use http::{Method, StatusCode};

use crate::clock::NOW;
use crate::memory_origin::MemoryOrigin;
use crate::signer::{ALL, cookies, policy, signed};
use crate::test_cdn::{BASE, TestCdn};

#[test]
fn every_combination_of_key_hash_policy_and_credential_source_is_accepted_until_it_expires() {
    let cdn = TestCdn::with(MemoryOrigin::default().with("processed/acme/my clip.mp4", "video/mp4", "bytes"));
    let url = format!("{BASE}/processed/acme/my%20clip.mp4");
    let mut accepted = 0;
    for signer in ALL {
        let canned = signer.canned(&url, NOW + 60);
        let wildcard = policy(&format!("{BASE}/processed/acme/*"), NOW + 60, Some(NOW), Some("192.0.2.0/24"));
        for parameters in [canned, signer.custom(&wildcard)] {
            let by_url = signed(&url, &parameters);
            let cookie = cookies(&parameters);
            for (url, headers) in [(&by_url, vec![]), (&url, vec![("cookie", cookie.as_str())])] {
                let context = format!("{signer:?} {url} {headers:?}");
                cdn.clock.set_millis((NOW + 60) * 1000 - 1);
                let response = cdn.request(&Method::GET, url, &headers);
                assert_eq!((response.status, response.text()), (StatusCode::OK, "bytes"), "{context}");

                cdn.clock.set_millis((NOW + 60) * 1000);
                let response = cdn.request(&Method::GET, url, &headers);
                assert_eq!(
                    (response.status, response.code()),
                    (StatusCode::FORBIDDEN, "AccessDenied"),
                    "{context}"
                );

                cdn.clock.set_millis(NOW * 1000);
                let other = url.replace("my%20clip", "my%20clap");
                let response = cdn.request(&Method::GET, &other, &headers);
                let expected = if parameters.starts_with("Policy") { 404 } else { 403 };
                assert_eq!(response.status.as_u16(), expected, "{context}");
                accepted += 1;
            }
        }
    }
    assert_eq!(accepted, 16);
}

#[test]
fn sha1_is_the_default_hash_algorithm_and_can_be_named() {
    let cdn = TestCdn::with(MemoryOrigin::default().with("a", "", "bytes"));
    let url = format!("{BASE}/a");
    for signer in ALL {
        let parameters = signer.canned(&url, NOW + 60);
        let bare = parameters.replace("&Hash-Algorithm=SHA256", "");
        let sha1 = parameters == bare;
        assert_eq!(cdn.get(&signed(&url, &bare)).status.is_success(), sha1);
        assert_eq!(cdn.get(&signed(&url, &format!("{bare}&Hash-Algorithm=SHA1"))).status.is_success(), sha1);
        assert_eq!(
            cdn.get(&signed(&url, &format!("{bare}&Hash-Algorithm=SHA256"))).status.is_success(),
            !sha1
        );
    }
}

#[test]
fn other_query_parameters_are_part_of_the_resource_at_any_position() {
    let cdn = TestCdn::with(MemoryOrigin::default().with("a", "", "bytes"));
    let url = format!("{BASE}/a?size=large&license=yes");
    let parameters = ALL[2].canned(&url, NOW + 60);
    let (own, path) = ("size=large&license=yes", format!("{BASE}/a"));
    for good in [
        format!("{path}?{own}&{parameters}"),
        format!("{path}?{parameters}&{own}"),
        format!("{path}?size=large&{parameters}&license=yes"),
    ] {
        assert_eq!(cdn.get(&good).status, StatusCode::OK, "{good}");
    }
    for bad in [
        format!("{path}?{parameters}"),
        format!("{path}?license=yes&size=large&{parameters}"),
        format!("{path}?{own}&{parameters}&more=1"),
        format!("{path}?{own}&&{parameters}"),
        format!("{path}?{own}&{parameters}&"),
        format!("{path}?size=Large&license=yes&{parameters}"),
    ] {
        assert_eq!(cdn.get(&bad).status, StatusCode::FORBIDDEN, "{bad}");
    }
    let by_cookie = cookies(&parameters);
    assert_eq!(cdn.request(&Method::GET, &url, &[("cookie", &by_cookie)]).status, StatusCode::OK);
    assert_eq!(cdn.request(&Method::GET, &path, &[("cookie", &by_cookie)]).status, StatusCode::FORBIDDEN);
    assert_eq!(
        cdn.request(&Method::GET, &format!("{url}&"), &[("cookie", &by_cookie)]).status,
        StatusCode::FORBIDDEN
    );
}

#[test]
fn several_key_pairs_are_accepted_each_only_under_its_own_id() {
    let cdn = TestCdn::with(MemoryOrigin::default().with("a", "", "bytes"));
    let url = format!("{BASE}/a");
    let [old, new] = [crate::signer::P256, crate::signer::OTHER_P256];
    for (id, other) in [(old, new), (new, old)] {
        let signer = crate::signer::Signer { key_pair_id: id, ..ALL[3] };
        let good = signed(&url, &signer.canned(&url, NOW + 60));
        assert_eq!(cdn.get(&good).status, StatusCode::OK);
        assert_eq!(cdn.get(&good.replace(id, other)).status, StatusCode::FORBIDDEN);
    }
}

#[test]
fn head_needs_the_same_authorisation_as_get() {
    let cdn = TestCdn::with(MemoryOrigin::default().with("a", "", "bytes"));
    let url = format!("{BASE}/a");
    let good = signed(&url, &ALL[3].canned(&url, NOW + 60));
    assert_eq!(cdn.request(&Method::HEAD, &good, &[]).status, StatusCode::OK);
    assert_eq!(cdn.request(&Method::HEAD, &url, &[]).status, StatusCode::FORBIDDEN);
}
