//! The command line's names for the API's fields, so that messages name what the user wrote.

use std::borrow::Cow;

/// How the command line calls the API's `field`, as it appears in a sentence; `None` if the user does not set the field.
pub(super) fn option_name(field: &str) -> Option<Cow<'static, str>> {
    let name = match field {
        "filename" => "`--name`",
        "path" => "`--path`",
        "contentType" => "`--content-type`",
        "size" => "the file's size",
        "sha256" => "the file's SHA-256",
        "overwrite" => "`--overwrite`",
        "unique" => "`--unique`",
        "multipart" => "`--multipart`",
        "metadata" => "`--metadata`",
        "key" => "`KEY`",
        "id" => "`VIDEO`",
        "ttl" => "`--ttl`",
        "startsAt" => "`--starts-at`",
        "ip" => "`--ip`",
        "format" => "`--format`",
        "asOf" => "`--as-of`",
        "state" => "`--state`",
        "prefix" => "`--prefix`",
        "limit" => "`--limit`",
        "after" => "`--after`",
        "url" => "the endpoint's URL",
        "types" | "type" => "`--type`",
        "description" => "`--description`",
        "rateLimit" => "`--rate-limit`",
        "overlapSeconds" => "`--overlap`",
        "webhookId" => "`--webhook`",
        "videoId" => "`--video`",
        "from" => "`--from`",
        "to" => "`--to`",
        "since" => "`--since`",
        "rate" => "`--rate`",
        "x-api-key" => "the API key",
        _ => {
            let key = field.strip_prefix("metadata.")?;
            return Some(format!("`--metadata {key}`").into());
        }
    };
    Some(name.into())
}

/// Replaces the fields that `text` has in backticks by the names of the command line.
pub(crate) fn with_option_names(text: &str) -> String {
    let mut named = String::with_capacity(text.len());
    let mut parts = text.split('`').peekable();
    let mut quoted = false;
    while let Some(part) = parts.next() {
        // The text after the last backtick is not quoted, even if the number of backticks is odd.
        match option_name(part).filter(|_| quoted && parts.peek().is_some()) {
            Some(name) => named.push_str(&name),
            None if quoted => {
                named.push('`');
                named.push_str(part);
                if parts.peek().is_some() {
                    named.push('`');
                }
            }
            None => named.push_str(part),
        }
        quoted = !quoted;
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_in_backticks_are_replaced_and_all_other_text_stays() {
        for (text, expected) in [
            (
                "`contentType` must be a media type; `size` is missing.",
                "`--content-type` must be a media type; the file's size is missing.",
            ),
            ("`metadata.A b` must be named with a-z", "`--metadata A b` must be named with a-z"),
            ("the path has a `uploadId` and a size", "the path has a `uploadId` and a size"),
            ("an odd ` stays, as does `path", "an odd ` stays, as does `path"),
            ("", ""),
        ] {
            assert_eq!(with_option_names(text), expected);
        }
    }
}
