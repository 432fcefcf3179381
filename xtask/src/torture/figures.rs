//! The figures of a run.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::disk::Lost;
use super::record::Counts;
use super::stage::Stage;
use crate::duration::format_duration;

/// What happened in a run.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) cycles: u32,
    pub(super) kills: BTreeMap<Stage, u32>,
    /// The kills whose moment had not come in time, and that were made later.
    pub(super) late: u32,
    pub(super) power_losses: u32,
    pub(super) lost: Lost,
    pub(super) counts: Counts,
    /// The videos, those that were processed, and the attempts that the kills interrupted.
    pub(super) videos: usize,
    pub(super) ready: usize,
    pub(super) interrupted: usize,
    pub(super) events: usize,
    /// The webhooks that arrived, and how often one arrived again.
    pub(super) messages: usize,
    pub(super) repetitions: u32,
    pub(super) took: Duration,
}

impl fmt::Display for Figures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { grants, uploads, in_parts, updates, deletions, playbacks, reads, repeated } =
            self.counts;
        writeln!(formatter, "  {} kills in {}:", self.cycles, format_duration(self.took))?;
        for (stage, kills) in &self.kills {
            writeln!(formatter, "    {kills:>5} {stage}")?;
        }
        if self.late > 0 {
            writeln!(formatter, "    {:>5} of them because their moment did not come", self.late)?;
        }
        if self.power_losses > 0 {
            let Lost { sectors, files, entries } = self.lost;
            writeln!(
                formatter,
                "  {} power losses took {sectors} sectors of {files} files, and {entries} changes of directories",
                self.power_losses
            )?;
        }
        writeln!(
            formatter,
            "  {} acknowledged calls: {grants} upload URLs, {uploads} uploads ({in_parts} in parts), {updates} changes of metadata, \
             {deletions} deletions, {playbacks} playback grants, {reads} reads; {repeated} repeated after a kill",
            self.counts.acknowledged()
        )?;
        writeln!(
            formatter,
            "  {} webhooks arrived, and {} times one of them again",
            self.messages, self.repetitions
        )?;
        write!(
            formatter,
            "  {} videos, {} ready, each published once; {} attempts were interrupted; {} events",
            self.videos, self.ready, self.interrupted, self.events
        )
    }
}
