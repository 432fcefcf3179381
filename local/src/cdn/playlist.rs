//! Adds the authorisation of a playlist's URL to the URIs in the playlist.
//!
//! A player that requested a playlist by a signed URL requests the URIs in it without the parameters of that URL, and
//! is refused. Players in a browser page can add them; `<video src>` in Safari, ffplay and most television sets cannot.
//! So the CDN adds the parameters to every URI that points to itself. The rest of the playlist is not changed.
//!
//! <https://www.rfc-editor.org/rfc/rfc8216>, and for the newer tags
//! <https://datatracker.ietf.org/doc/html/draft-pantos-hls-rfc8216bis>.

use super::base_url::BaseUrl;
use super::credentials::{PolicyQuery, is_signed};

/// The largest playlist that is read into memory, in bytes. Enough for more than two days in segments of six seconds.
pub const MAX_SOURCE_BYTES: u64 = 2 << 20;

/// The largest rewritten playlist, in bytes. The parameters add about 700 bytes to a line.
pub const MAX_REWRITTEN_BYTES: usize = 32 << 20;

/// Adds `parameters` to every URI in the playlist that is relative or begins with `base`.
///
/// These URIs are not changed: URIs of other origins (they must not receive the parameters, which grant access), of
/// other schemes (`data:`, `skd:`), with variables (`{$…}`: they may expand to another origin), with backslashes or
/// control characters (players interpret them differently), and URIs that already have a CloudFront parameter.
///
/// Returns `None` if `text` is not a playlist or the result would be larger than `max_bytes`; serve it unchanged.
pub fn add_parameters(
    text: &str,
    base: &BaseUrl,
    parameters: &PolicyQuery,
    max_bytes: usize,
) -> Option<String> {
    let mut writer =
        Writer { out: String::with_capacity(text.len() * 2), base, parameters: parameters.as_str() };
    // RFC 8216 forbids a byte order mark, but some editors write one.
    let playlist = text.strip_prefix('\u{feff}').unwrap_or(text);
    if !playlist.starts_with("#EXTM3U") {
        return None;
    }
    writer.out.push_str(&text[..text.len() - playlist.len()]);
    for line in playlist.split_inclusive('\n') {
        let content = line.trim_end_matches(['\n', '\r']);
        if content.starts_with("#EXT") {
            writer.write_tag(content);
        } else if content.trim_start().starts_with('#') || content.trim().is_empty() {
            writer.out.push_str(content);
        } else {
            writer.write_uri(content);
        }
        writer.out.push_str(&line[content.len()..]);
        if writer.out.len() > max_bytes {
            return None;
        }
    }
    Some(writer.out)
}

struct Writer<'a> {
    out: String,
    base: &'a BaseUrl,
    parameters: &'a str,
}

impl Writer<'_> {
    /// Writes a tag, with the parameters added to the value of each attribute `URI`.
    fn write_tag(&mut self, tag: &str) {
        let (name, attributes) = match tag.split_once(':') {
            Some((name, attributes)) => (&tag[..=name.len()], attributes),
            None => (tag, ""),
        };
        self.out.push_str(name);
        let mut rest = attributes;
        while let Some(attribute) = Attribute::first_of(rest) {
            self.out.push_str(attribute.before_value);
            match attribute.name {
                "URI" => self.write_uri(attribute.quoted_value),
                _ => self.out.push_str(attribute.quoted_value),
            }
            rest = attribute.rest;
        }
        self.out.push_str(rest);
    }

    /// Writes a URI, with the parameters added if it is a URI of the CDN.
    fn write_uri(&mut self, uri: &str) {
        let trimmed = uri.trim_end();
        if !self.is_own_uri(trimmed) {
            self.out.push_str(uri);
            return;
        }
        let fragment = trimmed.find('#').unwrap_or(trimmed.len());
        self.out.push_str(&trimmed[..fragment]);
        self.out.push(if trimmed[..fragment].contains('?') { '&' } else { '?' });
        self.out.push_str(self.parameters);
        self.out.push_str(&uri[fragment..]);
    }

    fn is_own_uri(&self, uri: &str) -> bool {
        let ambiguous = |character: char| character == '\\' || character.is_control();
        if uri.is_empty()
            || uri.starts_with(char::is_whitespace)
            || uri.contains(ambiguous)
            || uri.contains("{$")
        {
            return false;
        }
        let before_fragment = uri.split('#').next().unwrap_or_default();
        if before_fragment.split_once('?').is_some_and(|(_, query)| is_signed(query)) {
            return false;
        }
        let is_absolute = uri.strip_prefix(self.base.as_str()).is_some_and(|rest| rest.starts_with('/'));
        is_absolute || !(uri.starts_with("//") || has_scheme(uri))
    }
}

/// Whether a URI reference begins with a scheme: <https://www.rfc-editor.org/rfc/rfc3986#section-4.2>.
fn has_scheme(uri: &str) -> bool {
    uri.find([':', '/', '?', '#']).is_some_and(|at| uri[at..].starts_with(':'))
}

/// One attribute of a list `NAME=value,NAME="value",…`.
struct Attribute<'a> {
    name: &'a str,
    /// The text before the quoted value, including the opening quotation mark; the whole attribute if its value is not
    /// quoted.
    before_value: &'a str,
    /// The value between the quotation marks; empty if it is not quoted.
    quoted_value: &'a str,
    /// The text from the closing quotation mark or the comma on.
    rest: &'a str,
}

impl<'a> Attribute<'a> {
    /// The first attribute of a list; `None` if no attribute begins there, as in tags that have no attribute list.
    fn first_of(list: &'a str) -> Option<Self> {
        let start = list.len() - list.trim_start_matches(['"', ',', ' ', '\t']).len();
        let (name, value) = list[start..].split_once('=')?;
        let allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || !name.bytes().all(allowed) {
            return None;
        }
        let value_at = list.len() - value.len();
        if let Some(quoted) = value.strip_prefix('"') {
            let length = quoted.find('"')?;
            let (quoted_value, rest) = quoted.split_at(length);
            Some(Self { name, before_value: &list[..=value_at], quoted_value, rest })
        } else {
            let length = value.find(',').unwrap_or(value.len());
            let (before_value, rest) = list.split_at(value_at + length);
            Some(Self { name: "", before_value, quoted_value: "", rest })
        }
    }
}
