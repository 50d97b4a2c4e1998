//! Where the last lines of some files begin.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

const BLOCK: u64 = 64 * 1024;

/// The file (by its index) and the offset at which the last `lines` lines of all files together begin.
pub(super) fn start(files: &[PathBuf], lines: u64) -> io::Result<(usize, u64)> {
    let mut wanted = lines;
    for (i, path) in files.iter().enumerate().rev() {
        let mut file = match File::open(path) {
            // Rotation may take the oldest away at any time.
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        if wanted == 0 {
            return Ok((i, file.metadata()?.len()));
        }
        match from_end(&mut file, &mut wanted)? {
            Some(offset) => return Ok((i, offset)),
            None if wanted == 0 => return Ok((i, 0)),
            None => {}
        }
    }
    Ok((0, 0))
}

/// The offset of the last `wanted` lines of a file; if it has fewer, none, and `wanted` is what is missing.
fn from_end(file: &mut File, wanted: &mut u64) -> io::Result<Option<u64>> {
    let length = file.metadata()?.len();
    let mut end = length;
    let mut block = Vec::new();
    let mut found = 0;
    while end > 0 {
        let begin = end.saturating_sub(BLOCK);
        file.seek(SeekFrom::Start(begin))?;
        block.clear();
        Read::by_ref(file).take(end - begin).read_to_end(&mut block)?;
        for (at, byte) in block.iter().enumerate().rev() {
            let offset = begin + at as u64 + 1;
            // The line end at the very end closes the last line; every other one begins a line after it.
            if *byte == b'\n' && offset != length {
                found += 1;
                if found == *wanted {
                    return Ok(Some(offset));
                }
            }
        }
        end = begin;
    }
    if length > 0 {
        *wanted -= found + 1;
    }
    Ok(None)
}
