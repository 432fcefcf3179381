//! Settings from environment variables: of the edge, of the worker and of the functions.

use std::collections::BTreeMap;

use streamio_edge::settings::Settings as EdgeSettings;
use streamio_events::settings::Reader;
use streamio_events::video::Policy;
use streamio_lambdas::settings::{self, Section};
use streamio_worker::settings::Settings as WorkerSettings;

use crate::text;

/// The part of a secret in an input that is looked for in errors.
const SECRET: &str = "s3cr3t-";

/// Errors name variables and repeat no secret; what is read does not show secrets. The lines are `NAME=value`.
pub fn check(data: &[u8]) {
    let Some(text) = text::of(data) else { return };
    let variables: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let variable = |name: &str| variables.get(name).map(|value| (*value).to_owned());
    report(&EdgeSettings::read(variable));
    report(&WorkerSettings::read(variable));
    report(&settings::read::<All>(&variable).map(|_| ()));
    let mut reader = Reader::new(&variable);
    let number: Option<u32> = reader.number("N");
    if let (Some(number), Some(text)) = (number, variable("N")) {
        assert!(text.trim().bytes().all(|byte| byte.is_ascii_digit()), "{text:?}: {number}");
    }
}

fn report<T: std::fmt::Debug, E: std::fmt::Display>(read: &Result<T, E>) {
    let shown = match read {
        Ok(settings) => format!("{settings:?}"),
        Err(error) => error.to_string(),
    };
    assert!(!shown.contains(SECRET), "{shown}");
}

/// All sections.
struct All;

impl Section for All {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let stores = <(settings::Ledger, settings::Views, settings::S3)>::read(reader).is_some();
        let others = <(settings::EcsWorkers, settings::Kv, Policy)>::read(reader).is_some();
        (stores && others).then_some(Self)
    }
}
