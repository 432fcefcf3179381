//! Responses of Kinesis to `PutRecords`.

use streamio_events::kinesis::put_records::{RecordFault, Response, error_code};

use crate::text;

/// The most records of a request.
const MAX_RECORDS: u64 = 500;

/// Each record has an outcome, none is accepted without a sequence number, and nothing of a response is repeated but plain codes. The
/// first line is the number of records that were sent.
pub fn check(data: &[u8]) {
    let ([sent], body) = text::lines(data);
    let sent = usize::try_from(text::number(sent) % (MAX_RECORDS + 1)).expect("it is small");
    let Ok(response) = serde_json::from_slice::<Response>(body) else { return };
    let sequences = response.records.iter().filter(|record| record.sequence_number.is_some()).count();
    let outcomes = response.outcomes(sent);
    assert_eq!(outcomes.len(), sent);
    assert!(outcomes.iter().filter(|outcome| outcome.is_ok()).count() <= sequences);
    for outcome in outcomes {
        if let Err(RecordFault::Refused(code)) = outcome {
            assert!(
                code.len() <= 80
                    && (code == error_code("") || code.bytes().all(|byte| byte.is_ascii_alphanumeric()))
            );
        }
    }
}
