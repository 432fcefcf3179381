//! Tiles in memory, with crashes.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;

use crate::audit::tiles::Tile;
use crate::audit::tree::TileFile;
use crate::ports::AdapterError;
use crate::ports::tile_reader::TileReader;
use crate::ports::tile_store::{CreateTileError, TileStore};

/// Tiles in memory. Panics where a tile gets other bytes than it ever had.
#[derive(Default)]
pub struct MemoryTiles {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tiles: BTreeMap<Tile, Vec<u8>>,
    /// Also those that were removed.
    ever: BTreeMap<Tile, Vec<u8>>,
    checkpoints: Vec<String>,
    /// How many more writes succeed before everything fails.
    writes_left: Option<usize>,
    writes: usize,
    /// Decides in which order the files of one call are written.
    order: u64,
}

impl State {
    /// Counts a write. It fails if the process has crashed.
    fn write(&mut self) -> Result<(), AdapterError> {
        match &mut self.writes_left {
            Some(0) => return Err("the process has crashed".into()),
            Some(left) => *left -= 1,
            None => {}
        }
        self.writes += 1;
        Ok(())
    }
}

impl MemoryTiles {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Lets the next `writes` writes succeed, and all after them fail, as after a crash. `order` decides in which order the files of one call
    /// are written, since a store promises none.
    pub fn crash_after(&self, writes: usize, order: u64) {
        let mut state = self.state();
        (state.writes_left, state.order) = (Some(writes), order);
    }

    /// Ends the crash.
    pub fn restart(&self) {
        self.state().writes_left = None;
    }

    /// The number of writes that succeeded.
    pub fn writes(&self) -> usize {
        self.state().writes
    }

    /// All checkpoints that were stored, the latest last.
    pub fn checkpoints(&self) -> Vec<String> {
        self.state().checkpoints.clone()
    }

    /// The tiles that are stored.
    pub fn tiles(&self) -> BTreeMap<Tile, Vec<u8>> {
        self.state().tiles.clone()
    }

    /// Changes the tiles as no program would.
    pub fn damage(&self, change: impl FnOnce(&mut BTreeMap<Tile, Vec<u8>>)) {
        change(&mut self.state().tiles);
    }
}

#[async_trait]
impl TileReader for MemoryTiles {
    async fn read(&self, tile: &Tile) -> Result<Option<Vec<u8>>, AdapterError> {
        Ok(self.state().tiles.get(tile).cloned())
    }
}

#[async_trait]
impl TileStore for MemoryTiles {
    async fn create(&self, files: &[TileFile]) -> Result<(), CreateTileError> {
        let mut state = self.state();
        let mut files: Vec<&TileFile> = files.iter().collect();
        let order = state.order;
        files.sort_by_key(|file| {
            let number = file.tile.index().wrapping_mul(8).wrapping_add(u64::from(file.tile.width()));
            (number ^ order).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        });
        for TileFile { tile, bytes } in files {
            state.write().map_err(CreateTileError::Store)?;
            if state.tiles.get(tile).is_some_and(|stored| stored != bytes) {
                return Err(CreateTileError::Differs(*tile));
            }
            let before = state.ever.insert(*tile, bytes.clone());
            assert!(before.is_none_or(|before| before == *bytes), "{tile} gets other bytes than it had");
            state.tiles.insert(*tile, bytes.clone());
        }
        Ok(())
    }

    async fn remove_partial(&self, full: &[Tile]) -> Result<(), AdapterError> {
        let mut state = self.state();
        let superseded: Vec<Tile> = state
            .tiles
            .keys()
            .filter(|tile| tile.is_partial() && full.contains(&tile.full()))
            .copied()
            .collect();
        for tile in superseded {
            state.write()?;
            state.tiles.remove(&tile);
        }
        Ok(())
    }

    async fn checkpoint(&self) -> Result<Option<String>, AdapterError> {
        Ok(self.state().checkpoints.last().cloned())
    }

    async fn replace_checkpoint(&self, before: Option<&str>, after: &str) -> Result<bool, AdapterError> {
        let mut state = self.state();
        if state.checkpoints.last().map(String::as_str) != before {
            return Ok(false);
        }
        state.write()?;
        state.checkpoints.push(after.to_owned());
        Ok(true)
    }
}
