//! Types of the AWS SDK stay in adapter files.

use crate::rules::sources::Source;
use crate::rules::tokens::{Kind, Token};
use crate::rules::violation::Violation;

/// Files that may use the SDK. `x.rs` stands for `x/` too.
const ADAPTERS: [&str; 7] = [
    "events/src/dynamo.rs",
    "events/src/emulators.rs",
    "events/src/kinesis.rs",
    "events/src/s3.rs",
    "lambdas/src/adapters.rs",
    "worker/src/event_log.rs",
    "worker/src/storage.rs",
];

/// The emulator may use the SDK everywhere, because it implements the protocols of AWS.
const EMULATOR: &str = "emulator/";

/// Checks one file.
pub(super) fn check(file: &Source, tokens: &[Token]) -> Vec<Violation> {
    let allowed = file.path.starts_with(EMULATOR)
        || ADAPTERS.iter().any(|adapter| {
            let folder = adapter.trim_end_matches(".rs");
            file.path == *adapter || file.path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
        });
    if allowed {
        return Vec::new();
    }
    let named = tokens.iter().filter(|token| token.kind == Kind::Ident && token.text.starts_with("aws_sdk_"));
    named
        .map(|token| {
            let message =
                format!("`{}` must stay inside the adapter files ({})", token.text, ADAPTERS.join(", "));
            Violation::new(file.place(token.line), message)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::violations;

    #[test]
    fn an_sdk_outside_the_adapter_files_is_found() {
        let code = "use aws_sdk_s3::Client;";
        assert_eq!(violations("worker/src/run.rs", code).len(), 1);
        assert_eq!(violations("local/src/s3.rs", code).len(), 1);
        assert_eq!(violations("worker/src/storage.rs", code), [""; 0]);
        assert_eq!(violations("worker/src/storage/multipart.rs", code), [""; 0]);
        assert_eq!(violations("emulator/src/sources/kinesis.rs", code), [""; 0]);
        assert_eq!(violations("xtask/src/cloud.rs", code).len(), 1);
        assert_eq!(violations("local/tests/suite.rs", code), [""; 0]);
    }
}
