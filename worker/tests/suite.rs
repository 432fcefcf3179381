//! The worker with real FFmpeg, storage in a directory, and a log in memory.

mod suite {
    mod clip;
    mod directory_storage;
    mod platform;
    mod player;

    mod acceptance;
    mod faults;
    mod fencing;
    mod hostile;
    mod progressive;
    mod refusals;
    mod storage;
}
