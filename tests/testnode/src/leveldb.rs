//! The part of LevelDB's C interface (`leveldb/c.h`, version 1.23) that the miner needs.
//!
//! The only file with `unsafe` in it. The rules it keeps: a handle is closed exactly once, by `Drop`;
//! an iterator cannot outlive its database (lifetime); memory that LevelDB returns is copied or read
//! before the next call on the same handle, and freed with `leveldb_free`.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_uchar, c_void};
use std::marker::PhantomData;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};
use std::slice;

type Raw = c_void;

unsafe extern "C" {
    fn leveldb_options_create() -> *mut Raw;
    fn leveldb_options_destroy(options: *mut Raw);
    fn leveldb_options_set_create_if_missing(options: *mut Raw, yes: c_uchar);
    fn leveldb_options_set_paranoid_checks(options: *mut Raw, yes: c_uchar);
    fn leveldb_options_set_write_buffer_size(options: *mut Raw, bytes: usize);
    fn leveldb_options_set_compression(options: *mut Raw, kind: c_int);
    fn leveldb_open(options: *const Raw, name: *const c_char, error: *mut *mut c_char) -> *mut Raw;
    fn leveldb_close(database: *mut Raw);
    fn leveldb_get(
        database: *mut Raw,
        options: *const Raw,
        key: *const c_char,
        key_length: usize,
        value_length: *mut usize,
        error: *mut *mut c_char,
    ) -> *mut c_char;
    fn leveldb_write(
        database: *mut Raw,
        options: *const Raw,
        batch: *mut Raw,
        error: *mut *mut c_char,
    );
    fn leveldb_writebatch_create() -> *mut Raw;
    fn leveldb_writebatch_destroy(batch: *mut Raw);
    fn leveldb_writebatch_put(
        batch: *mut Raw,
        key: *const c_char,
        key_length: usize,
        value: *const c_char,
        value_length: usize,
    );
    fn leveldb_writebatch_delete(batch: *mut Raw, key: *const c_char, key_length: usize);
    fn leveldb_writeoptions_create() -> *mut Raw;
    fn leveldb_writeoptions_destroy(options: *mut Raw);
    fn leveldb_writeoptions_set_sync(options: *mut Raw, yes: c_uchar);
    fn leveldb_readoptions_create() -> *mut Raw;
    fn leveldb_readoptions_destroy(options: *mut Raw);
    fn leveldb_readoptions_set_verify_checksums(options: *mut Raw, yes: c_uchar);
    fn leveldb_readoptions_set_fill_cache(options: *mut Raw, yes: c_uchar);
    fn leveldb_create_iterator(database: *mut Raw, options: *const Raw) -> *mut Raw;
    fn leveldb_iter_destroy(iterator: *mut Raw);
    fn leveldb_iter_valid(iterator: *const Raw) -> c_uchar;
    fn leveldb_iter_seek_to_first(iterator: *mut Raw);
    fn leveldb_iter_next(iterator: *mut Raw);
    fn leveldb_iter_key(iterator: *const Raw, length: *mut usize) -> *const c_char;
    fn leveldb_iter_value(iterator: *const Raw, length: *mut usize) -> *const c_char;
    fn leveldb_iter_get_error(iterator: *const Raw, error: *mut *mut c_char);
    fn leveldb_free(memory: *mut c_void);
}

/// `leveldb_snappy_compression`: what goleveldb and LevelDB do by default.
const SNAPPY: c_int = 1;

/// What LevelDB said, and of which database.
#[derive(Debug, thiserror::Error)]
#[error("LevelDB {}: {message}", path.display())]
pub struct Error {
    path: PathBuf,
    message: String,
}

/// How a database is opened.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Make a database where there is none.
    pub create: bool,
    /// Refuse what LevelDB would otherwise drop in silence, such as a log record with a wrong checksum.
    pub paranoid: bool,
    /// Bytes kept in memory before they become a table; LevelDB's default is 4 MiB.
    pub write_buffer: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            create: false,
            paranoid: false,
            write_buffer: 4 << 20,
        }
    }
}

/// An open LevelDB; closed when dropped.
#[derive(Debug)]
pub struct Database {
    raw: NonNull<Raw>,
    path: PathBuf,
}

// SAFETY: `include/leveldb/db.h`: "A DB is safe for concurrent access from multiple threads without
// any external synchronization."
unsafe impl Send for Database {}
// SAFETY: as above.
unsafe impl Sync for Database {}

impl Database {
    /// Opens the database in the directory `path`; recovers from its log where it must.
    pub fn open(path: &Path, options: Options) -> Result<Self, Error> {
        let failed = |message: String| Error {
            path: path.to_owned(),
            message,
        };
        let name = CString::new(path.as_os_str().as_bytes())
            .map_err(|_| failed("the path holds a zero byte".to_owned()))?;
        // SAFETY: plain constructor and setters on the handle that it returned; LevelDB copies the
        // options in `leveldb_open`, so that they may be destroyed after it.
        let (raw, error) = unsafe {
            let raw_options = leveldb_options_create();
            leveldb_options_set_create_if_missing(raw_options, options.create.into());
            leveldb_options_set_paranoid_checks(raw_options, options.paranoid.into());
            leveldb_options_set_write_buffer_size(raw_options, options.write_buffer);
            leveldb_options_set_compression(raw_options, SNAPPY);
            let mut error = ptr::null_mut();
            let raw = leveldb_open(raw_options, name.as_ptr(), &raw mut error);
            leveldb_options_destroy(raw_options);
            (raw, take_error(error))
        };
        match (NonNull::new(raw), error) {
            (Some(raw), None) => Ok(Self {
                raw,
                path: path.to_owned(),
            }),
            (_, error) => Err(failed(error.unwrap_or_else(|| "no handle".to_owned()))),
        }
    }

    /// The value of `key`, its checksum verified.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let mut length = 0;
        // SAFETY: key and length outlive the call; the returned buffer is `length` bytes of
        // malloc'ed memory (or null), copied and freed here.
        unsafe {
            let options = leveldb_readoptions_create();
            leveldb_readoptions_set_verify_checksums(options, 1);
            let mut error = ptr::null_mut();
            let value = leveldb_get(
                self.raw.as_ptr(),
                options,
                key.as_ptr().cast(),
                key.len(),
                &raw mut length,
                &raw mut error,
            );
            leveldb_readoptions_destroy(options);
            let copied = (!value.is_null())
                .then(|| slice::from_raw_parts(value.cast::<u8>(), length).to_vec());
            leveldb_free(value.cast());
            self.check(error).map(|()| copied)
        }
    }

    /// Writes a batch as one; with `sync`, returns once it is on the disk.
    pub fn write(&self, batch: &Batch, sync: bool) -> Result<(), Error> {
        // SAFETY: both handles live; LevelDB does not keep the batch.
        unsafe {
            let options = leveldb_writeoptions_create();
            leveldb_writeoptions_set_sync(options, sync.into());
            let mut error = ptr::null_mut();
            leveldb_write(self.raw.as_ptr(), options, batch.0.as_ptr(), &raw mut error);
            leveldb_writeoptions_destroy(options);
            self.check(error)
        }
    }

    /// All records in the order of their keys, checksums verified.
    pub fn records(&self) -> Records<'_> {
        // SAFETY: the database outlives the iterator by its lifetime; the read options are only
        // needed during the call.
        let raw = unsafe {
            let options = leveldb_readoptions_create();
            leveldb_readoptions_set_verify_checksums(options, 1);
            leveldb_readoptions_set_fill_cache(options, 0);
            let raw = leveldb_create_iterator(self.raw.as_ptr(), options);
            leveldb_readoptions_destroy(options);
            raw
        };
        Records {
            // SAFETY: `leveldb_create_iterator` returns `new`, which is never null.
            raw: unsafe { NonNull::new_unchecked(raw) },
            started: false,
            database: self,
        }
    }

    fn check(&self, error: *mut c_char) -> Result<(), Error> {
        // SAFETY: `error` comes from the call just made and is not used again.
        match unsafe { take_error(error) } {
            None => Ok(()),
            Some(message) => Err(Error {
                path: self.path.clone(),
                message,
            }),
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // SAFETY: the only close, and no iterator is left (lifetime).
        unsafe { leveldb_close(self.raw.as_ptr()) }
    }
}

/// Several writes that become visible, and durable, together.
#[derive(Debug)]
pub struct Batch(NonNull<Raw>, PhantomData<*mut ()>);

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        // SAFETY: plain constructor, never null (`new`).
        let raw = unsafe { NonNull::new_unchecked(leveldb_writebatch_create()) };
        Self(raw, PhantomData)
    }

    /// Adds a write.
    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        // SAFETY: LevelDB copies both before it returns.
        unsafe {
            leveldb_writebatch_put(
                self.0.as_ptr(),
                key.as_ptr().cast(),
                key.len(),
                value.as_ptr().cast(),
                value.len(),
            );
        }
    }

    /// Adds a removal.
    pub fn delete(&mut self, key: &[u8]) {
        // SAFETY: LevelDB copies the key before it returns.
        unsafe { leveldb_writebatch_delete(self.0.as_ptr(), key.as_ptr().cast(), key.len()) }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // SAFETY: the only destroy.
        unsafe { leveldb_writebatch_destroy(self.0.as_ptr()) }
    }
}

/// A key and its value, lent by the walk that found them.
pub type Record<'a> = (&'a [u8], &'a [u8]);

/// A walk over all records.
#[derive(Debug)]
pub struct Records<'a> {
    raw: NonNull<Raw>,
    started: bool,
    database: &'a Database,
}

impl Records<'_> {
    /// The next record, lent until the next call; `None` at the end.
    pub fn next(&mut self) -> Result<Option<Record<'_>>, Error> {
        let raw = self.raw.as_ptr();
        // SAFETY: `next`, `key` and `value` are only called while the iterator is valid; the slices
        // borrow `self` mutably, so the iterator cannot move while they are in use.
        unsafe {
            if !self.started {
                self.started = true;
                leveldb_iter_seek_to_first(raw);
            } else if leveldb_iter_valid(raw) != 0 {
                leveldb_iter_next(raw);
            }
            if leveldb_iter_valid(raw) == 0 {
                let mut error = ptr::null_mut();
                leveldb_iter_get_error(raw, &raw mut error);
                return self.database.check(error).map(|()| None);
            }
            let (mut key_length, mut value_length) = (0, 0);
            let key = leveldb_iter_key(raw, &raw mut key_length);
            let value = leveldb_iter_value(raw, &raw mut value_length);
            Ok(Some((
                slice::from_raw_parts(key.cast(), key_length),
                slice::from_raw_parts(value.cast(), value_length),
            )))
        }
    }
}

impl Drop for Records<'_> {
    fn drop(&mut self) {
        // SAFETY: the only destroy, before the database closes (lifetime).
        unsafe { leveldb_iter_destroy(self.raw.as_ptr()) }
    }
}

/// Takes the text of an error that LevelDB allocated, and frees it.
///
/// # Safety
/// `error` is null or was set by a LevelDB call, and nobody uses it afterwards.
unsafe fn take_error(error: *mut c_char) -> Option<String> {
    if error.is_null() {
        return None;
    }
    // SAFETY: a zero-terminated string by the contract of `c.h`, freed once, after the copy.
    unsafe {
        let message = CStr::from_ptr(error).to_string_lossy().into_owned();
        leveldb_free(error.cast());
        Some(message)
    }
}
