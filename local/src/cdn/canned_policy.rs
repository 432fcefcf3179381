//! Canned policies: one URL until a given time. The policy is not sent with the request but rebuilt from the URL.
//!
//! <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-creating-signed-url-canned-policy.html>

use serde_json::Value;

use super::policy::{LAST_SECOND, MalformedPolicy};

/// The text of the canned policy for a URL, exactly as the signer signed it, and the expiry in seconds since the Unix
/// epoch. `expires` is the parameter as sent: a decimal number of seconds without sign or leading zeros, at most
/// [`LAST_SECOND`].
///
/// # Errors
/// [`MalformedPolicy`] for another `expires`.
pub(super) fn canned_policy(url: &str, expires: &str) -> Result<(String, u32), MalformedPolicy> {
    let seconds = expires.parse::<u32>().map_err(|_| MalformedPolicy)?;
    if seconds > LAST_SECOND || seconds.to_string() != expires {
        return Err(MalformedPolicy);
    }
    // Escaped, so that a quotation mark in the URL cannot end the resource.
    let resource = Value::from(url);
    let text = format!(
        r#"{{"Statement":[{{"Resource":{resource},"Condition":{{"DateLessThan":{{"AWS:EpochTime":{seconds}}}}}}}]}}"#
    );
    Ok((text, seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canned_policy_is_the_documented_text() {
        let url = "http://d111111abcdef8.cloudfront.net/horizon.jpg?size=large&license=yes";
        let (text, seconds) = canned_policy(url, "1357034400").unwrap();
        assert_eq!(seconds, 1_357_034_400);
        insta::assert_snapshot!(text, @r#"{"Statement":[{"Resource":"http://d111111abcdef8.cloudfront.net/horizon.jpg?size=large&license=yes","Condition":{"DateLessThan":{"AWS:EpochTime":1357034400}}}]}"#);
        for bad in ["", "01357034400", "+1", "-1", "1.0", " 1", "1e9", "2147483648", "1767290400000", "x"] {
            assert_eq!(canned_policy(url, bad), Err(MalformedPolicy), "{bad:?}");
        }
    }

    #[test]
    fn the_resource_is_the_whole_url_even_with_quotation_marks() {
        let url = r#"http://cdn/a","Condition":{"x\"#;
        let (text, _) = canned_policy(url, "9").unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["Statement"][0]["Resource"], url);
    }
}
