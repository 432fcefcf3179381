//! A table of views that an earlier release has written.

use super::*;

/// An earlier release had times for places, counted usage when it wrote them, and stored up to which version of each stream it had done so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_feed_of_an_earlier_release_is_not_read_and_what_it_counted_is_not_counted_again() {
    let dynamo = TestDynamo::new();
    let views = dynamo.views().await;
    let commits = history(&dynamo).await;
    let streams: BTreeMap<String, Vec<&Commit>> =
        commits.iter().fold(BTreeMap::new(), |mut streams, commit| {
            streams.entry(commit.stream.to_string()).or_default().push(commit);
            streams
        });
    let mut uncounted = Vec::new();
    for (index, (stream, commits)) in streams.iter().enumerate() {
        // It has counted a part of the streams, all of some, and nothing of others.
        let (counted, rest) = commits.split_at(commits.len() * (index % 3) / 2);
        uncounted.extend(rest.iter().copied());
        let Some(last) = counted.last() else { continue };
        stored::put_of_earlier_release(&dynamo, stream, last).await;
    }
    for commit in commits.iter().rev() {
        views.place(commit).await.unwrap();
    }
    assert_places(&dynamo, &views).await;
    for owner in ["acme", "acme-2"] {
        let of_owner = |commit: &&Commit| commit.stream.project_id() == &project(owner);
        let all: usize = commits.iter().filter(of_owner).map(|commit| commit.events.len()).sum();
        assert_eq!(whole_feed(&views, owner, 7).await.len(), all);
        let mut usage: BTreeMap<String, UsageCounters> = BTreeMap::new();
        for commit in uncounted.iter().copied().filter(of_owner) {
            let delta = UsageCounters::of(commit);
            if !delta.is_zero() {
                *usage.entry(day_of(commit).to_string()).or_default() += delta;
            }
        }
        let usage: BTreeMap<String, Counters> =
            usage.into_iter().map(|(day, usage)| (day, counters(&usage))).collect();
        assert_eq!(stored::usage(&dynamo, owner).await, usage);
    }
}
