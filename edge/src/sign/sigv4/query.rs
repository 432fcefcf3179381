use std::ops::Range;

use super::{RequestParts, SigningError, encode};

/// Writes a URL with its query and keeps the position of each parameter. The canonical query has the same parameters in
/// another order, so nothing is encoded twice.
pub(super) struct QueryWriter {
    url: String,
    pairs: Vec<Pair>,
}

struct Pair {
    name: Range<usize>,
    value: Range<usize>,
}

/// The signature's parameters. Compared without case, since no service distinguishes parameters by case alone.
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
    /// Starts with the request's origin, path and query parameters.
    pub(super) fn new(request: &RequestParts<'_>) -> Result<Self, SigningError> {
        if !encode::is_encoded_path(request.path) {
            return Err(SigningError::InvalidPath);
        }
        // 512 bytes leave space for the signature's parameters.
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

    /// Appends a parameter. A flag has an empty value, which is written with its `=`.
    pub(super) fn push(&mut self, name: &str, value: &str) {
        self.url.push(if self.pairs.is_empty() { '?' } else { '&' });
        let name_at = self.url.len();
        encode::percent_encode_query(&mut self.url, name);
        let equals_at = self.url.len();
        self.url.push('=');
        encode::percent_encode_query(&mut self.url, value);
        self.pairs.push(Pair { name: name_at..equals_at, value: equals_at + 1..self.url.len() });
    }

    /// Appends a parameter that is encoded already. `value` is passed in pieces.
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

    /// The length of the URL so far: the position of the next parameter.
    pub(super) fn len(&self) -> usize {
        self.url.len()
    }

    /// Writes the canonical query: parameters sorted by encoded name, then by encoded value.
    pub(super) fn write_canonical(&self, out: &mut String) {
        let text = |range: &Range<usize>| &self.url[range.clone()];
        let sort_key = |pair: &Pair| (text(&pair.name), text(&pair.value));
        if self.pairs.is_sorted_by_key(sort_key) {
            // The common case, a single PUT: the query in the URL is canonical already.
            out.push_str(self.pairs.first().map_or("", |first| &self.url[first.name.start..]));
            return;
        }
        let mut sorted: Vec<&Pair> = Vec::with_capacity(self.pairs.len());
        for pair in &self.pairs {
            let at = sorted.partition_point(|other| sort_key(other) <= sort_key(pair));
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
