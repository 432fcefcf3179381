//! HLS playlists that carry their authorisation on.
//!
//! A player that got a playlist by a signed URL asks for the URIs in it without the parameters of that URL, and is
//! refused. A player in a browser can add them; `<video src>` in Safari, ffplay and most television sets cannot. So
//! the CDN writes them to every URI that leads back to itself. Nothing else of the playlist changes by a single byte.
//!
//! <https://www.rfc-editor.org/rfc/rfc8216>, and for the newer tags
//! <https://datatracker.ietf.org/doc/html/draft-pantos-hls-rfc8216bis>.

use super::base_url::BaseUrl;
use super::credentials::{PolicyQuery, is_signed};

/// The largest playlist that is read into memory, in bytes: more than two days of segments of six seconds.
pub const MAX_SOURCE_BYTES: u64 = 2 << 20;

/// The largest playlist that comes out, in bytes. The parameters make a line some 700 bytes longer.
pub const MAX_REWRITTEN_BYTES: usize = 32 << 20;

/// The playlist with `parameters` on every URI that is relative or begins with `base`.
///
/// Left alone are URIs of other origins (the parameters are a secret between the viewer and this CDN), of other
/// schemes (`data:`, `skd:`), with variables (`{$…}`: they may turn into another origin), with backslashes or control
/// characters (readers disagree about where those lead), and such as have a CloudFront parameter already.
///
/// `None` when `text` is no playlist or the result would be larger than `max_bytes`: serve it as it is.
pub fn carry_on(text: &str, base: &BaseUrl, parameters: &PolicyQuery, max_bytes: usize) -> Option<String> {
    let mut writer =
        Writer { out: String::with_capacity(text.len() * 2), base, parameters: parameters.as_str() };
    // RFC 8216 forbids a byte order mark, yet editors write one.
    let playlist = text.strip_prefix('\u{feff}').unwrap_or(text);
    if !playlist.starts_with("#EXTM3U") {
        return None;
    }
    writer.out.push_str(&text[..text.len() - playlist.len()]);
    for line in playlist.split_inclusive('\n') {
        let content = line.trim_end_matches(['\n', '\r']);
        if content.starts_with("#EXT") {
            writer.tag(content);
        } else if content.trim_start().starts_with('#') || content.trim().is_empty() {
            writer.out.push_str(content);
        } else {
            writer.uri(content);
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
    /// Writes a tag, with the parameters on the value of each attribute `URI`.
    fn tag(&mut self, tag: &str) {
        let (name, attributes) = match tag.split_once(':') {
            Some((name, attributes)) => (&tag[..=name.len()], attributes),
            None => (tag, ""),
        };
        self.out.push_str(name);
        let mut rest = attributes;
        while let Some(attribute) = Attribute::first_of(rest) {
            self.out.push_str(attribute.before_value);
            match attribute.name {
                "URI" => self.uri(attribute.quoted_value),
                _ => self.out.push_str(attribute.quoted_value),
            }
            rest = attribute.rest;
        }
        self.out.push_str(rest);
    }

    /// Writes a URI, with the parameters if it leads back to the CDN.
    fn uri(&mut self, uri: &str) {
        let trimmed = uri.trim_end();
        if !self.leads_here(trimmed) {
            self.out.push_str(uri);
            return;
        }
        let fragment = trimmed.find('#').unwrap_or(trimmed.len());
        self.out.push_str(&trimmed[..fragment]);
        self.out.push(if trimmed[..fragment].contains('?') { '&' } else { '?' });
        self.out.push_str(self.parameters);
        self.out.push_str(&uri[fragment..]);
    }

    fn leads_here(&self, uri: &str) -> bool {
        let unclear = |character: char| character == '\\' || character.is_control();
        if uri.is_empty()
            || uri.starts_with(char::is_whitespace)
            || uri.contains(unclear)
            || uri.contains("{$")
        {
            return false;
        }
        let before_fragment = uri.split('#').next().unwrap_or_default();
        if before_fragment.split_once('?').is_some_and(|(_, query)| is_signed(query)) {
            return false;
        }
        let ours = uri.strip_prefix(self.base.as_str()).is_some_and(|rest| rest.starts_with('/'));
        ours || !(uri.starts_with("//") || has_scheme(uri))
    }
}

/// Whether a URI reference begins with a scheme: <https://www.rfc-editor.org/rfc/rfc3986#section-4.2>.
fn has_scheme(uri: &str) -> bool {
    uri.find([':', '/', '?', '#']).is_some_and(|at| uri[at..].starts_with(':'))
}

/// One attribute of a list `NAME=value,NAME="value",…`.
struct Attribute<'a> {
    name: &'a str,
    /// All that stands before the quoted value, the opening quotation mark included; the whole attribute when its
    /// value is not quoted.
    before_value: &'a str,
    /// The value between quotation marks; empty when it is not quoted.
    quoted_value: &'a str,
    /// From the closing quotation mark, or the comma, on.
    rest: &'a str,
}

impl<'a> Attribute<'a> {
    /// The first attribute of a list; `None` where no attribute begins, which also ends tags that are no lists.
    fn first_of(list: &'a str) -> Option<Self> {
        let begin = list.len() - list.trim_start_matches(['"', ',', ' ', '\t']).len();
        let (name, value) = list[begin..].split_once('=')?;
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
