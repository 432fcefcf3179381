//! The Worker's variables and secrets; `wrangler.toml` explains each.

use std::collections::BTreeMap;

use super::{FACTS_STREAM, Journal, Keys, RAW_BUCKET};
use crate::arn::REGION;

/// What is around the Worker.
pub(super) struct Surroundings<'a> {
    pub(super) keys: &'a Keys,
    pub(super) home: &'a str,
    pub(super) kinesis: &'a str,
    pub(super) s3: &'a str,
    pub(super) cdn: &'a str,
}

impl Surroundings<'_> {
    pub(super) fn texts(&self, journal: Journal) -> BTreeMap<&'static str, String> {
        let Self { keys, home, kinesis, s3, cdn } = *self;
        let journal = match journal {
            Journal::Queue => "queue",
            Journal::Home => "home",
        };
        let texts = [
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", &keys.edge.id),
            ("AWS_SECRET_ACCESS_KEY", &keys.edge.secret),
            ("HOME_URL", home),
            ("KINESIS_ENDPOINT", kinesis),
            ("KINESIS_STREAM", FACTS_STREAM),
            ("S3_ENDPOINT", s3),
            ("S3_RAW_BUCKET", RAW_BUCKET),
            ("S3_ADDRESS_STYLE", "path"),
            ("S3_ACCESS_KEY_ID", &keys.edge_s3.id),
            ("S3_SECRET_ACCESS_KEY", &keys.edge_s3.secret),
            ("CDN_BASE_URL", cdn),
            ("CDN_KEY_PAIR_ID", &keys.playback.id),
            ("CDN_PRIVATE_KEY", &keys.playback.private_pem),
            ("JOURNAL", journal),
            ("LOG", "requests"),
        ];
        texts.into_iter().map(|(name, text)| (name, text.to_owned())).collect()
    }
}

#[cfg(test)]
mod tests {
    use streamio_edge::settings::{JournalMode, Settings};

    use super::*;

    #[test]
    fn the_worker_reads_from_them_what_is_meant() {
        let keys = Keys::generate();
        let surroundings = Surroundings {
            keys: &keys,
            home: "http://127.0.0.1:1",
            kinesis: "http://127.0.0.1:2",
            s3: "http://127.0.0.1:3",
            cdn: "http://127.0.0.1:4",
        };
        for (journal, read) in [(Journal::Queue, JournalMode::Queue), (Journal::Home, JournalMode::Home)] {
            let texts = surroundings.texts(journal);
            let settings = Settings::read(|name| texts.get(name).cloned()).unwrap();
            assert_eq!(settings.journal, read);
            assert_eq!(settings.home.base_url, "http://127.0.0.1:1");
            assert_eq!(settings.kinesis.endpoint, "http://127.0.0.1:2");
            assert_eq!(settings.edge.s3.endpoint, "http://127.0.0.1:3");
            assert_eq!(settings.edge.cdn.base_url, "http://127.0.0.1:4");
            assert_eq!(settings.key_pair.id, keys.playback.id);
        }
    }
}
