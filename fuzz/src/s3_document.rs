//! XML documents in the bodies of requests to the S3 server, as the library reads them that the server is built on.

use s3s::dto::{CompletedMultipartUpload, Delete, VersioningConfiguration};
use s3s::xml::{DeResult, DeserializeContent, Deserializer, SerializeContent, Serializer};

/// A document that was read is written as the same, and is not much larger.
pub fn check(data: &[u8]) {
    same::<CompletedMultipartUpload>(data, "CompleteMultipartUpload");
    same::<Delete>(data, "Delete");
    same::<VersioningConfiguration>(data, "VersioningConfiguration");
}

fn same<T>(xml: &[u8], name: &str)
where
    T: for<'xml> DeserializeContent<'xml> + SerializeContent + PartialEq + std::fmt::Debug,
{
    let Ok(document) = read::<T>(xml, name) else { return };
    let mut written = Vec::new();
    Serializer::new(&mut written).content(name, &document).expect("writing to memory does not fail");
    // The library reads control characters, which XML does not have, and refuses them in what it wrote.
    let has_controls = xml.iter().any(u8::is_ascii_control) || xml.windows(2).any(|part| part == b"&#");
    match read::<T>(&written, name) {
        Ok(again) => assert_eq!(again, document),
        Err(error) => assert!(has_controls, "{error:?}"),
    }
    assert!(written.len() <= 8 * xml.len() + 256, "{} of {}", written.len(), xml.len());
}

fn read<T: for<'xml> DeserializeContent<'xml>>(xml: &[u8], name: &str) -> DeResult<T> {
    let mut reader = Deserializer::new(xml);
    let document = reader.named_element(name, Deserializer::content)?;
    reader.expect_eof()?;
    Ok(document)
}
