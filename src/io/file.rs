//! Files: reading one of bounded size, and replacing one atomically.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::failure::FileError;

/// The bytes of a regular file.
///
/// Devices and pipes are refused: they may have no end, or no beginning.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let open = || {
        // Before it is opened: opening a pipe waits for a writer.
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::new(
                ErrorKind::InvalidInput,
                "not a regular file",
            ));
        }
        let file = File::open(path)?;
        let length = file.metadata()?.len(); // another process may have replaced the file
        Ok((file, length))
    };
    let (file, length) = open().map_err(FileError::system(path, "open the file"))?;
    let contents = || {
        let mut bytes = Vec::new();
        let capacity = usize::try_from(length).map_err(|_| ErrorKind::OutOfMemory)?;
        bytes
            .try_reserve_exact(capacity)
            .map_err(|_| ErrorKind::OutOfMemory)?;
        // A file that grows meanwhile is truncated, and its contents are then not valid.
        file.take(length).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    contents().map_err(FileError::system(path, "read the file"))
}

/// Replaces the file atomically: after a crash at any moment it has the old contents or the new
/// ones, complete.
///
/// The bytes are written to a temporary file in the same directory and reach the disk before it is
/// renamed; then the directory is written. The file has the ordinary mode, 0666 without the bits of
/// the umask. A symbolic link is followed.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let target = resolve(path).map_err(FileError::system(path, "resolve the link"))?;
    let write = || {
        let (mut file, mut temporary) = create_temporary(&target)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary.path, &target)?;
        temporary.exists = false;
        sync_directory(&target)
    };
    write().map_err(FileError::system(path, "write the file"))
}

/// Removes the temporary files that killed processes left beside the file.
///
/// Another process that is writing the same file then fails.
pub(crate) fn remove_leftovers(path: &Path) {
    let Ok(target) = resolve(path) else { return };
    let (directory, name) = parts(&target);
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    let prefix = prefix(name);
    let is_temporary = |found: &OsStr| {
        let rest = found
            .as_encoded_bytes()
            .strip_prefix(prefix.as_encoded_bytes());
        let numbers = rest.and_then(|rest| rest.strip_suffix(SUFFIX.as_bytes()));
        // Other files may start with the same letters.
        numbers.is_some_and(|bytes| bytes.iter().all(|b| b.is_ascii_digit() || *b == b'-'))
    };
    for entry in entries.flatten() {
        if is_temporary(&entry.file_name()) {
            fs::remove_file(entry.path()).ok(); // one that cannot be removed does no harm
        }
    }
}

/// The path, or that to which it links.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => fs::canonicalize(path),
        _ => Ok(path.to_path_buf()),
    }
}

/// The directory and the name of a path.
fn parts(path: &Path) -> (&Path, &OsStr) {
    let directory = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    };
    (directory, path.file_name().unwrap_or_default())
}

/// Temporary files are `.NAME.PROCESS-NUMBER.tmp`.
const SUFFIX: &str = ".tmp";

fn prefix(name: &OsStr) -> OsString {
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    prefix
}

/// The number of temporary files that this process has created.
static CREATED: AtomicU64 = AtomicU64::new(0);

/// A file that is removed unless it was renamed.
struct Temporary {
    path: PathBuf,
    exists: bool,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if self.exists {
            fs::remove_file(&self.path).ok();
        }
    }
}

/// Creates a new file beside the target.
fn create_temporary(target: &Path) -> io::Result<(File, Temporary)> {
    let (directory, name) = parts(target);
    if name.is_empty() {
        return Err(io::Error::new(
            ErrorKind::InvalidInput,
            "the path has no file name",
        ));
    }
    fs::metadata(directory)?; // systems without files do not have process numbers either
    let number = CREATED.fetch_add(1, Ordering::Relaxed);
    let mut temporary = prefix(name);
    temporary.push(format!("{}-{number}{SUFFIX}", std::process::id()));
    let path = directory.join(temporary);
    let create = || File::options().write(true).create_new(true).open(&path);
    let file = match create() {
        // An earlier process of the same number was killed.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            fs::remove_file(&path)?;
            create()?
        }
        created => created?,
    };
    Ok((file, Temporary { path, exists: true }))
}

/// Writes the entry of a file in its directory to the disk.
fn sync_directory(target: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(parts(target).0)?.sync_all()
    } else {
        Ok(()) // elsewhere a directory cannot be opened as a file
    }
}
