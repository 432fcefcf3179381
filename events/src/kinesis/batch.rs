//! Which facts go into which request.

use std::collections::HashSet;

use super::{MAX_RECORDS, MAX_RECORDS_BYTES};
use crate::fact::Fact;
use crate::intake::is_ordered;
use crate::stream::StreamId;

/// The numbers of the facts that may be put now, in order: of each stream whose order means something the first that waits, of
/// all others every one. `waiting` is in the order in which the facts were given.
pub(super) fn ready<'a>(waiting: impl IntoIterator<Item = (usize, &'a Fact)>) -> Vec<usize> {
    let mut begun: HashSet<&StreamId> = HashSet::new();
    let mut ready = Vec::new();
    for (number, fact) in waiting {
        if !is_ordered(fact.stream()) || begun.insert(fact.stream()) {
            ready.push(number);
        }
    }
    ready
}

/// Cuts records of these sizes into as many as fit into one request each: how many each request takes.
pub(super) fn requests(sizes: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let mut requests = Vec::new();
    let (mut records, mut bytes) = (0, 0);
    for size in sizes {
        if records == MAX_RECORDS || (records > 0 && bytes + size > MAX_RECORDS_BYTES) {
            requests.push(records);
            (records, bytes) = (0, 0);
        }
        records += 1;
        bytes += size;
    }
    requests.extend((records > 0).then_some(records));
    requests
}

/// What a fact counts against [`MAX_RECORDS_BYTES`].
pub(super) fn size(fact: &Fact) -> usize {
    fact.json().len() + fact.stream().to_string().len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fact::MAX_FACT_BYTES;

    proptest! {
        #[test]
        fn requests_hold_all_records_within_the_limits(large in prop::collection::vec(0..=MAX_FACT_BYTES + 256, 0..90), small in 0usize..1200) {
            let sizes: Vec<usize> = large.into_iter().chain(std::iter::repeat_n(8, small)).collect();
            let mut rest = &sizes[..];
            for records in requests(sizes.iter().copied()) {
                let (request, after) = rest.split_at(records);
                let bytes: usize = request.iter().sum();
                prop_assert!((1..=MAX_RECORDS).contains(&records) && bytes <= MAX_RECORDS_BYTES);
                // And no request could have taken the next record too.
                if let Some(next) = after.first() {
                    prop_assert!(records == MAX_RECORDS || bytes + next > MAX_RECORDS_BYTES);
                }
                rest = after;
            }
            prop_assert!(rest.is_empty());
        }
    }
}
