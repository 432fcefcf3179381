//! The size of the Worker's module, by crate.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;

use anyhow::{Context as _, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use wasmparser::{KnownCustom, Name, Parser, Payload};

/// Crates with a smaller share of the code, in percent, are shown as one sum.
const MIN_SHARE: f64 = 1.5;

/// Sizes in bytes.
pub(super) struct Report {
    raw: usize,
    pub(super) compressed: usize,
    /// Code by crate, the largest first.
    crates: Vec<(String, usize)>,
    code: usize,
    data: usize,
}

/// Returns the sizes of a module. `with_names` contains the names of functions, `bare` is the deployed module without them. The
/// code of an inlined function counts for the crate of its caller.
pub(super) fn report(with_names: &[u8], bare: &[u8]) -> Result<Report> {
    let mut imported = 0;
    let mut bodies = Vec::new();
    let mut names = BTreeMap::new();
    let mut data = 0;
    for payload in Parser::new(0).parse_all(with_names) {
        match payload.context("wasm-opt wrote an invalid module")? {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    imported += usize::from(matches!(import?.ty, wasmparser::TypeRef::Func(_)));
                }
            }
            Payload::CodeSectionEntry(body) => bodies.push(body.range().len()),
            Payload::DataSection(section) => data = section.range().len(),
            Payload::CustomSection(section) => {
                let KnownCustom::Name(section) = section.as_known() else { continue };
                for subsection in section {
                    let Name::Function(functions) = subsection? else { continue };
                    for function in functions {
                        let function = function?;
                        names.insert(function.index as usize, function.name.to_owned());
                    }
                }
            }
            _ => {}
        }
    }
    let mut crates: BTreeMap<String, usize> = BTreeMap::new();
    for (index, length) in bodies.iter().enumerate() {
        let name = names.get(&(index + imported)).map_or("", String::as_str);
        *crates.entry(crate_of(name).to_owned()).or_default() += length;
    }
    let mut crates: Vec<_> = crates.into_iter().collect();
    crates.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    Ok(Report { raw: bare.len(), compressed: gzip(bare)?, crates, code: bodies.iter().sum(), data })
}

/// Returns the crate of a demangled name. For `<A as B>::c` it is the crate of `A`.
fn crate_of(name: &str) -> &str {
    let path = name.trim_start_matches(['<', '&', '(', '[', '*']);
    let path = path.strip_prefix("dyn ").unwrap_or(path);
    let path = path.strip_prefix("mut ").unwrap_or(path);
    let end = path.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(path.len());
    // The standard library's crates have a hash: `core[c5930c85a12de822]::fmt::write`.
    let rest = path[end..]
        .split_once(']')
        .map_or(&path[end..], |(hash, rest)| if hash.starts_with('[') { rest } else { &path[end..] });
    if rest.starts_with("::") { &path[..end] } else { "(glue)" }
}

/// Returns the size after gzip.
fn gzip(bytes: &[u8]) -> Result<usize> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?.len())
}

/// Returns the module without its custom sections, such as names.
pub(super) fn without_custom_sections(module: &[u8]) -> Result<Vec<u8>> {
    const MAGIC_AND_VERSION: usize = 8;
    const CUSTOM: u8 = 0;
    let mut bare = Vec::with_capacity(module.len());
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::Version { .. } => bare.extend_from_slice(&module[..MAGIC_AND_VERSION]),
            payload => {
                let Some((id, range)) = payload.as_section().filter(|(id, _)| *id != CUSTOM) else {
                    continue;
                };
                bare.push(id);
                push_leb128(&mut bare, range.len());
                bare.extend_from_slice(&module[range]);
            }
        }
    }
    Ok(bare)
}

/// Appends an unsigned LEB128 number: seven bits per byte, the lowest first.
fn push_leb128(out: &mut Vec<u8>, mut value: usize) {
    let low = |value: usize| u8::try_from(value & 0x7f).expect("seven bits");
    while value >= 0x80 {
        out.push(0x80 | low(value));
        value >>= 7;
    }
    out.push(low(value));
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |size: usize| f64::from(u32::try_from(size).unwrap_or(u32::MAX));
        let kb = |bytes: usize| number(bytes) / 1000.0;
        writeln!(
            formatter,
            "{:.1} KB, {:.1} KB after gzip (code {:.1} KB, data {:.1} KB)",
            kb(self.raw),
            kb(self.compressed),
            kb(self.code),
            kb(self.data)
        )?;
        let share = |size: usize| 100.0 * number(size) / number(self.code.max(1));
        let (shown, rest): (Vec<_>, Vec<_>) =
            self.crates.iter().partition(|(_, size)| share(*size) >= MIN_SHARE);
        for (name, size) in shown {
            writeln!(formatter, "  {:>7.1} KB {:>5.1} %  {name}", kb(*size), share(*size))?;
        }
        let others: usize = rest.iter().map(|(_, size)| size).sum();
        write!(formatter, "  {:>7.1} KB {:>5.1} %  {} others", kb(others), share(others), rest.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_counts_for_the_crate_at_the_start_of_its_name() {
        for (name, expected) in [
            ("streamio_edge::api::upload::grant", "streamio_edge"),
            ("<alloc::string::String as core::fmt::Write>::write_str", "alloc"),
            (
                "<&mut serde_json::de::Deserializer<R> as serde::de::Deserializer>::deserialize_any",
                "serde_json",
            ),
            ("<dyn core::any::Any>::is", "core"),
            ("core[c5930c85a12de822]::fmt::write", "core"),
            ("__wbindgen_malloc", "(glue)"),
            ("", "(glue)"),
        ] {
            assert_eq!(crate_of(name), expected, "{name}");
        }
    }

    #[test]
    fn only_custom_sections_are_removed() {
        // The header, a custom section "a" with 3 bytes, an empty type section, a custom section "bc".
        let header = *b"\0asm\x01\0\0\0";
        let (custom, types, last) = ([0, 5, 1, b'a', 1, 2, 3], [1, 1, 0], [0, 3, 2, b'b', b'c']);
        let module = [&header[..], &custom, &types, &last].concat();
        assert_eq!(without_custom_sections(&module).unwrap(), [&header[..], &types].concat());
    }

    #[test]
    fn section_lengths_have_seven_bits_per_byte() {
        for (value, expected) in [(0, &[0][..]), (127, &[127]), (128, &[0x80, 1]), (16_384, &[0x80, 0x80, 1])]
        {
            let mut out = Vec::new();
            push_leb128(&mut out, value);
            assert_eq!(out, expected);
        }
    }
}
