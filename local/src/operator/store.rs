//! Checking the object store of a data directory.

use std::path::Path;

use super::error::OperatorError;
use super::handle::LOG_FILE;
use crate::data_dir::DataDir;
use crate::s3::{self, CheckOptions, CheckReport};

/// Checks the object store of the data directory at `path`, on which no platform may run, as [`s3::check_store`] does.
///
/// # Errors
/// [`OperatorError::NoData`], [`OperatorError::NoStore`] if it has only a log, [`OperatorError::DataDir`], [`OperatorError::Store`].
pub fn check_store(
    path: &Path,
    options: CheckOptions,
    progress: impl FnMut(u64, u64),
) -> Result<CheckReport, OperatorError> {
    if !path.join(STORE).is_dir() {
        let has_log = path.join(LOG_FILE).is_file();
        let error = if has_log { OperatorError::NoStore } else { OperatorError::NoData };
        return Err(error(path.to_owned()));
    }
    let data_dir = DataDir::open(path)?;
    Ok(s3::check_store(&data_dir.objects(), options, progress)?)
}

/// The directory that every platform creates; the name is that of [`DataDir::objects`].
const STORE: &str = "s3";
