//! Pages of a stream's events. A cursor is the version of the event before the page, in decimal digits.

use streamio_events::cloud_event::CloudEvent;
use streamio_events::home::{HomeError, Page};
use streamio_events::log::EventLog;
use streamio_events::stream::StreamId;

/// Returns at most `limit` events after the cursor `after`; `None` if the stream has no events.
pub(super) async fn page(
    log: &dyn EventLog,
    stream: &StreamId,
    after: Option<&str>,
    limit: usize,
) -> Result<Option<Page<CloudEvent>>, HomeError> {
    let before: u64 = after.map_or(Ok(0), |text| text.parse().map_err(|_| HomeError::InvalidCursor))?;
    let from = before.checked_add(1).ok_or(HomeError::InvalidCursor)?;
    let mut data = Vec::new();
    let mut next = Some(from);
    while let Some(version) = next {
        let page = log.read(stream, version, limit + 1).await.map_err(HomeError::because_of)?;
        for commit in &page.commits {
            let events = commit.numbered().map(|(version, _)| version).zip(CloudEvent::all(commit));
            data.extend(events.filter(|(version, _)| *version >= from));
        }
        next = page.next.filter(|_| data.len() <= limit);
    }
    if data.is_empty() && from == 1 {
        return Ok(None);
    }
    let more = data.len() > limit;
    data.truncate(limit);
    let next = data.last().filter(|_| more).map(|(version, _)| version.to_string());
    Ok(Some(Page { data: data.into_iter().map(|(_, event)| event).collect(), next }))
}
