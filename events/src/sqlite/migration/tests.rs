use std::path::PathBuf;

use proptest::prelude::*;

use super::super::open::open;
use super::*;

/// How programs of the release before insert a commit.
const EARLIER_INSERT: &str =
    "INSERT INTO commits (stream, first, last, commit_id, recorded_at, events, prev_hash, hash, slot)
     VALUES (?1, ?2, ?2, ?2, '', '[]', zeroblob(32), zeroblob(32), 0)";

struct File {
    folder: tempfile::TempDir,
}

impl File {
    /// A file of version 1.
    fn earlier() -> Self {
        let file = Self { folder: tempfile::tempdir().unwrap() };
        let connection = open(&file.path()).unwrap();
        let earlier = "DROP TRIGGER commits_have_the_next_place; ALTER TABLE commits DROP COLUMN place;
            PRAGMA user_version = 1;";
        connection.execute_batch(earlier).unwrap();
        file
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("log.db")
    }

    fn connect(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    /// Inserts commits into the streams of the projects with these numbers.
    fn insert(&self, projects: &[u8]) {
        let mut connection = self.connect();
        let transaction = connection.transaction().unwrap();
        for (first, project) in (1_i64..).zip(projects) {
            let stream = format!("video/project-{project}/{}", first % 3);
            transaction.execute(EARLIER_INSERT, params![stream, first]).unwrap();
        }
        transaction.commit().unwrap();
    }

    /// The projects and places of all commits, in the order of their positions.
    fn places(&self) -> Vec<(String, i64)> {
        let connection = self.connect();
        let query = "SELECT project_id, place FROM commits ORDER BY position";
        let mut statement = connection.prepare(query).unwrap();
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    }

    fn version(&self) -> i32 {
        self.connect().query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
    }
}

fn expected(projects: &[u8]) -> Vec<(String, i64)> {
    let mut next: HashMap<u8, i64> = HashMap::new();
    let mut place = |project: &u8| {
        let next = next.entry(*project).or_default();
        *next += 1;
        *next - 1
    };
    projects.iter().map(|project| (format!("project-{project}"), place(project))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// In steps of any size, of two processes that take turns and end at any time: the commits of each project get the places 0, 1, 2, … in
    /// the order of their positions.
    #[test]
    fn commits_get_the_places_in_which_they_would_have_been_appended(
        projects in prop::collection::vec(0..4u8, 0..40),
        steps in prop::collection::vec((0..2usize, 1..8usize), 0..12),
    ) {
        let file = File::earlier();
        file.insert(&projects);
        let mut processes = [(file.connect(), 0), (file.connect(), 0)];
        add_places(&file.path(), &mut processes[0].0).unwrap();
        for (process, limit) in steps {
            let (connection, after) = &mut processes[process];
            if let Some(last) = number_next(connection, *after, limit).unwrap() {
                *after = last;
            }
        }
        drop(processes);
        drop(open(&file.path()).unwrap());
        prop_assert_eq!(file.places(), expected(&projects));
        prop_assert_eq!(file.version(), SCHEMA_VERSION);
    }
}

/// Whether the file was opened by the earlier release before, and the statement prepared then.
#[test]
fn an_earlier_release_cannot_insert_a_commit_during_the_migration_or_after_it() {
    let file = File::earlier();
    file.insert(&[1, 1, 2]);
    let (earlier, mut connection) = (file.connect(), file.connect());
    let mut insert = earlier.prepare(EARLIER_INSERT).unwrap();
    insert.execute(params!["video/project-3/1", 4]).unwrap();
    let mut assert_is_refused = |stream: &str| {
        let error = insert.execute(params![stream, 9]).unwrap_err().to_string();
        assert!(error.contains("an earlier release has the log open"), "{error}");
    };
    add_places(&file.path(), &mut connection).unwrap();
    for stream in ["video/project-1/9", "video/new/9"] {
        assert_is_refused(stream);
    }
    assert_eq!(number_next(&mut connection, 0, 2).unwrap(), Some(2));
    assert_is_refused("video/project-1/9");
    drop(open(&file.path()).unwrap());
    for stream in ["video/project-1/9", "video/new/9"] {
        assert_is_refused(stream);
    }
    assert_eq!(file.places(), expected(&[1, 1, 2, 3]));
}

#[test]
fn no_commit_gets_any_place_but_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let connection = open(&folder.path().join("log.db")).unwrap();
    let insert = |project: &str, first: i64, place: Option<i64>| {
        let sql = "INSERT INTO commits (stream, first, last, commit_id, recorded_at, events, prev_hash, hash, slot, place)
            VALUES ('video/' || ?1 || '/a', ?2, ?2, ?2, '', '[]', zeroblob(32), zeroblob(32), 0, ?3)";
        connection.execute(sql, params![project, first, place])
    };
    insert("one", 1, Some(0)).unwrap();
    insert("one", 2, Some(1)).unwrap();
    for place in [Some(-1), Some(0), Some(1), Some(3), None] {
        insert("one", 3, place).unwrap_err();
        insert("two", 3, place.map(|place| place + 1).filter(|place| *place != 0)).unwrap_err();
    }
    insert("two", 3, Some(0)).unwrap();
    insert("one", 3, Some(2)).unwrap();
}

#[test]
fn a_damaged_file_stays_as_it_is() {
    let file = File::earlier();
    file.insert(&[7; 2000]);
    let connection = file.connect();
    let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
    connection.query_row(checkpoint, [], |_| Ok(())).unwrap();
    drop(connection);
    let mut bytes = std::fs::read(file.path()).unwrap();
    let middle = bytes.len() / 4096 / 2 * 4096;
    bytes[middle..middle + 4096].fill(0x5a);
    std::fs::write(file.path(), &bytes).unwrap();
    let error = open(&file.path()).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("continue with the earlier release"), "{error}");
    assert_eq!(file.version(), WITHOUT_PLACES);
    assert_eq!(std::fs::read(file.path()).unwrap(), bytes);
}
