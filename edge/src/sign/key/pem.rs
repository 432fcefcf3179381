/// The first PEM block of `text` with this label, from its BEGIN to its END line. Other blocks and text are ignored:
/// OpenSSL writes "EC PARAMETERS" before a SEC 1 key.
pub(super) fn block<'a>(text: &'a str, label: &str) -> Option<&'a str> {
    let begin = text.find(&format!("-----BEGIN {label}-----"))?;
    let end_line = format!("-----END {label}-----");
    let end = begin + text[begin..].find(&end_line)? + end_line.len();
    Some(&text[begin..end])
}
