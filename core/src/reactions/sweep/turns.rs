//! The order in which the sweep handles videos of several projects.

use std::collections::HashMap;

use streamio_events::id::ProjectId;

use crate::ports::view_store::VideoRow;

/// Orders `rows` so that those of the projects follow in turn. Those of one project keep their order.
pub(super) fn in_turn(rows: Vec<VideoRow>) -> Vec<VideoRow> {
    let mut counts: HashMap<ProjectId, usize> = HashMap::new();
    let mut numbered: Vec<(usize, VideoRow)> = Vec::with_capacity(rows.len());
    for row in rows {
        let count = counts.entry(row.video.project_id.clone()).or_default();
        numbered.push((*count, row));
        *count += 1;
    }
    // A stable sort.
    numbered.sort_by_key(|(number, _)| *number);
    numbered.into_iter().map(|(_, row)| row).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use streamio_events::id::VideoId;
    use streamio_events::object_key::SourceKey;
    use streamio_events::video::{Policy, Video};

    use super::*;

    fn row(project: u8, number: usize) -> VideoRow {
        let s3_key: SourceKey = format!("projects/project-{project}/{number}").parse().unwrap();
        let video = Video::new(s3_key.project_id().clone(), VideoId::of(&s3_key));
        VideoRow::of(video, &Policy::new("raw", "processed"))
    }

    proptest! {
        /// No project gets a turn more than one before another that has videos left, and its own videos keep their order.
        #[test]
        fn projects_take_turns(projects in prop::collection::vec(0u8..4, 0..40)) {
            let rows: Vec<VideoRow> =
                projects.iter().enumerate().map(|(number, project)| row(*project, number)).collect();
            let ordered = in_turn(rows.clone());
            for project in 0..4 {
                let of_project = |rows: &[VideoRow]| -> Vec<VideoRow> {
                    let id: ProjectId = format!("project-{project}").parse().unwrap();
                    rows.iter().filter(|row| row.video.project_id == id).cloned().collect()
                };
                prop_assert_eq!(of_project(&ordered), of_project(&rows));
            }
            let mut turns: HashMap<&ProjectId, usize> = HashMap::new();
            let mut round = 0;
            for row in &ordered {
                let turn = turns.entry(&row.video.project_id).or_default();
                prop_assert!(*turn >= round, "it is passed by another project");
                round = *turn;
                *turn += 1;
            }
            prop_assert_eq!(ordered.len(), rows.len());
        }
    }
}
