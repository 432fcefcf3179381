use std::ops::Range;

use super::{RequestParts, SigningError, encode};

/// Writes a URL with its query, and remembers where each parameter stands, so that the canonical query, which is
/// the same text in another order, needs no second encoding.
pub(super) struct QueryWriter {
    url: String,
    pairs: Vec<Pair>,
}

struct Pair {
    name: Range<usize>,
    value: Range<usize>,
}

/// The signature's own parameters. Refused in any case of letters: no service tells parameters apart by case alone.
const RESERVED: [&str; 7] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-Security-Token",
    "X-Amz-Signature",
    "X-Amz-SignedHeaders",
];

impl QueryWriter {
    /// Begins with the request's own origin, path and parameters.
    pub(super) fn new(request: &RequestParts<'_>) -> Result<Self, SigningError> {
        if !encode::is_encoded_path(request.path) {
            return Err(SigningError::InvalidPath);
        }
        // Room for the signature's own parameters as well: 64 digits, about as much again for names and scope.
        let capacity = request.origin.len() + request.path.len() + 512;
        let mut writer =
            Self { url: String::with_capacity(capacity), pairs: Vec::with_capacity(request.query.len() + 6) };
        writer.url.push_str(request.origin);
        writer.url.push_str(request.path);
        for (name, value) in request.query {
            if RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name)) {
                return Err(SigningError::ReservedQueryParameter { name: name.to_string() });
            }
            writer.push(name, value);
        }
        Ok(writer)
    }

    /// Appends one parameter. The value of a flag is empty and still gets its `=`.
    pub(super) fn push(&mut self, name: &str, value: &str) {
        self.url.push(if self.pairs.is_empty() { '?' } else { '&' });
        let name_at = self.url.len();
        encode::component(&mut self.url, name);
        let equals_at = self.url.len();
        self.url.push('=');
        encode::component(&mut self.url, value);
        self.pairs.push(Pair { name: name_at..equals_at, value: equals_at + 1..self.url.len() });
    }

    /// Appends one parameter of which nothing needs encoding, or is encoded already; the value in pieces.
    pub(super) fn push_encoded(&mut self, name: &str, value: &[&str]) {
        self.url.push(if self.pairs.is_empty() { '?' } else { '&' });
        let name_at = self.url.len();
        self.url.push_str(name);
        let equals_at = self.url.len();
        self.url.push('=');
        for piece in value {
            self.url.push_str(piece);
        }
        self.pairs.push(Pair { name: name_at..equals_at, value: equals_at + 1..self.url.len() });
    }

    /// The length of the URL so far: where the next parameter would begin.
    pub(super) fn len(&self) -> usize {
        self.url.len()
    }

    /// The parameters in the order of their encoded names, then of their encoded values.
    pub(super) fn write_canonical(&self, out: &mut String) {
        let text = |range: &Range<usize>| &self.url[range.clone()];
        let in_order = |pair: &Pair| (text(&pair.name), text(&pair.value));
        if self.pairs.is_sorted_by_key(in_order) {
            // The usual case, an upload of one file: the query stands in the URL as it is signed.
            out.push_str(self.pairs.first().map_or("", |first| &self.url[first.name.start..]));
            return;
        }
        let mut sorted: Vec<&Pair> = Vec::with_capacity(self.pairs.len());
        for pair in &self.pairs {
            let at = sorted.partition_point(|other| in_order(other) <= in_order(pair));
            sorted.insert(at, pair);
        }
        for (index, pair) in sorted.into_iter().enumerate() {
            if index > 0 {
                out.push('&');
            }
            out.push_str(text(&pair.name));
            out.push('=');
            out.push_str(text(&pair.value));
        }
    }

    pub(super) fn into_url(self) -> String {
        self.url
    }
}
