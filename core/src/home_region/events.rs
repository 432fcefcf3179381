//! A stream's events, page by page. A cursor is the version of the last event before it, in decimal digits.

use streamio_events::cloud_event::CloudEvent;
use streamio_events::home::HomePage;
use streamio_events::log::EventLog;
use streamio_events::stream::StreamId;

use super::HomeRegionError;

/// At most `limit` events after the cursor `after`; `None` when the stream has no events at all.
pub(super) async fn page(
    log: &dyn EventLog,
    stream: &StreamId,
    after: Option<&str>,
    limit: usize,
) -> Result<Option<HomePage<CloudEvent>>, HomeRegionError> {
    let before: u64 = after.map_or(Ok(0), |text| text.parse().map_err(|_| HomeRegionError::InvalidCursor))?;
    let from = before.checked_add(1).ok_or(HomeRegionError::InvalidCursor)?;
    let mut data = Vec::new();
    let mut next = Some(from);
    while let Some(version) = next {
        let page = log.read(stream, version, limit + 1).await?;
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
    Ok(Some(HomePage { data: data.into_iter().map(|(_, event)| event).collect(), next }))
}
