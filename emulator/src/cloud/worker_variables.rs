//! The variables and secrets of the edge's Worker. `wrangler.toml` documents each.

use std::collections::BTreeMap;

use super::config::Journal;
use super::keys::Keys;
use super::names::{FACTS_STREAM, RAW_BUCKET};
use crate::arn::REGION;

/// The keys of the Worker and the endpoints that it calls.
pub(super) struct Environment<'a> {
    pub(super) keys: &'a Keys,
    pub(super) home: &'a str,
    pub(super) kinesis: &'a str,
    pub(super) s3: &'a str,
    pub(super) cdn: &'a str,
}

impl Environment<'_> {
    /// Returns the values of the variables and secrets, by name.
    pub(super) fn variables(&self, journal: Journal) -> BTreeMap<&'static str, String> {
        let Self { keys, home, kinesis, s3, cdn } = *self;
        let journal = match journal {
            Journal::Queue => "queue",
            Journal::Home => "home",
        };
        let variables = [
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
        variables.into_iter().map(|(name, value)| (name, value.to_owned())).collect()
    }
}

#[cfg(test)]
mod tests {
    use streamio_edge::settings::{JournalMode, Settings};

    use super::*;

    #[test]
    fn the_worker_reads_its_settings_from_the_variables() {
        let keys = Keys::generate();
        let environment = Environment {
            keys: &keys,
            home: "http://127.0.0.1:1",
            kinesis: "http://127.0.0.1:2",
            s3: "http://127.0.0.1:3",
            cdn: "http://127.0.0.1:4",
        };
        for (journal, read) in [(Journal::Queue, JournalMode::Queue), (Journal::Home, JournalMode::Home)] {
            let variables = environment.variables(journal);
            let settings = Settings::read(|name| variables.get(name).cloned()).unwrap();
            assert_eq!(settings.journal, read);
            assert_eq!(settings.home.base_url, "http://127.0.0.1:1");
            assert_eq!(settings.kinesis.endpoint, "http://127.0.0.1:2");
            assert_eq!(settings.edge.s3.endpoint, "http://127.0.0.1:3");
            assert_eq!(settings.edge.cdn.base_url, "http://127.0.0.1:4");
            assert_eq!(settings.key_pair.id, keys.playback.id);
        }
    }
}
