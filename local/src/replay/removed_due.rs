//! Deliveries that the platform has made due no more, because they cannot be continued: an event of theirs, or of their videos, cannot be
//! understood. The log states it by the quarantine of the stream, and the view by a row without a time.

use std::convert::Infallible;
use std::ops::ControlFlow;

use streamio_core::ports::delivery_store::DeliveryKey;
use streamio_events::event::{EventData as _, StreamQuarantined};
use streamio_events::log::ReadError;
use streamio_events::sqlite::{StoredReader, StreamRange};
use streamio_events::stream::StreamId;

use super::stream_rows::Rows;

/// Removes the times of the deliveries in `rows` whose streams, or videos' streams, are quarantined: the live row has none. Returns whether
/// there are any.
pub(super) fn remove(reader: &StoredReader, stream: &str, rows: &mut Rows) -> Result<bool, ReadError> {
    let mut removed = false;
    let key = stream.parse().ok().as_ref().and_then(DeliveryKey::of_stream);
    for row in rows.deliveries.iter_mut().filter(|row| row.is_due()) {
        let of_video = row.video_id().zip(key.as_ref()).and_then(|(video_id, key)| {
            Some(StreamId::Video(key.project_id.clone(), video_id.parse().ok()?).to_string())
        });
        let is_quarantined = has_quarantine(reader, stream)?
            || of_video.map_or(Ok(false), |stream| has_quarantine(reader, &stream))?;
        if is_quarantined {
            row.remove_due();
            removed = true;
        }
    }
    Ok(removed)
}

fn has_quarantine(reader: &StoredReader, stream: &str) -> Result<bool, ReadError> {
    let mut found = false;
    reader.streams(&StreamRange::one(stream), u64::MAX, |commit| {
        // A damaged commit states nothing.
        let _ = commit.and_then(|commit| {
            commit.each_event(|_, event| {
                found |= event.kind == StreamQuarantined::KIND;
                Ok::<(), Infallible>(())
            })
        });
        if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(found)
}
