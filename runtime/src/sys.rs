//! System calls that need `unsafe`, each behind a safe function; the only such place of the crate.
#![allow(unsafe_code, reason = "fork, ancillary data, ioctls and extended attributes have no safe wrapper")]

use std::ffi::{CStr, CString};
use std::io::{self, IoSliceMut};
use std::mem;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::cmsg_space;
use nix::libc;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, socket};
use nix::unistd::ForkResult;
use tokio::io::unix::AsyncFd;

/// Forks a process that has a single thread.
///
/// # Errors
/// EAGAIN, ENOMEM; EDEADLK when the process has other threads, whose locks the child would inherit.
pub(crate) fn fork_single_threaded() -> io::Result<ForkResult> {
    let threads = std::fs::read_dir("/proc/self/task")?.count();
    if threads != 1 {
        return Err(io::Error::from_raw_os_error(libc::EDEADLK));
    }
    // SAFETY: there is one thread, so no lock is held by another that the child lacks.
    unsafe { nix::unistd::fork() }.map_err(io::Error::from)
}

/// Receives one descriptor (the terminal that an OCI runtime sends) from a connected unix socket.
///
/// # Errors
/// The socket's; `InvalidData` when the message carries no descriptor.
pub(crate) fn receive_fd(from: impl AsFd) -> io::Result<OwnedFd> {
    let mut byte = [0_u8; 64];
    let (_, received) = receive_fds(from, &mut [IoSliceMut::new(&mut byte)])?;
    received.into_iter().next().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no terminal was sent"))
}

/// Receives a message from a connected unix socket: how many bytes it has (none when the other side is gone), and its descriptors.
///
/// # Errors
/// The socket's.
pub(crate) fn receive_fds(from: impl AsFd, into: &mut [IoSliceMut<'_>]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = cmsg_space!([RawFd; 4]);
    let message = recvmsg::<()>(from.as_fd().as_raw_fd(), into, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let mut received = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = control {
            // SAFETY: the kernel has just installed these descriptors for us; each is taken once.
            received.extend(numbers.into_iter().map(|n| unsafe { OwnedFd::from_raw_fd(n) }));
        }
    }
    Ok((message.bytes, received))
}

/// Makes `command` run in a mount namespace of its own that lacks the nearly empty unified hierarchy of a
/// hybrid cgroup machine, which crun refuses. The caller's namespace is not touched.
pub(crate) fn hide_unified_cgroup(command: &mut Command) {
    // SAFETY: between fork and exec the closure makes system calls only; it allocates nothing.
    unsafe { command.pre_exec(leave_unified_cgroup) };
}

/// As [`hide_unified_cgroup`], for tokio's command.
pub(crate) fn hide_unified_cgroup_async(command: &mut tokio::process::Command) {
    // SAFETY: as above.
    unsafe { command.pre_exec(leave_unified_cgroup) };
}

fn leave_unified_cgroup() -> io::Result<()> {
    const NONE: Option<&CStr> = None;
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(NONE, c"/sys/fs/cgroup", NONE, MsFlags::MS_PRIVATE | MsFlags::MS_REC, NONE)?;
    umount2(c"/sys/fs/cgroup/unified", MntFlags::MNT_DETACH)?;
    Ok(())
}

/// Lets go of the pages of this program's files: what runs on is mapped again, page by page, and what only the start needed is not resident any
/// more. Nothing of it is lost or read from the disk again: it stays in the page cache as long as there is room.
///
/// # Errors
/// If the process' mappings cannot be read, or not be changed.
pub fn release_code() -> io::Result<()> {
    for range in unchanged(&std::fs::read_to_string("/proc/self/smaps")?) {
        let start = std::ptr::with_exposed_provenance_mut(range.start);
        // SAFETY: what is in a private mapping that cannot be written, and of which no page is a copy, is what the file has: any thread that
        // uses a page of it gets the same again. What is relocated at the start has copies.
        check(unsafe { libc::madvise(start, range.len(), libc::MADV_DONTNEED) })?;
    }
    Ok(())
}

/// From now on the C library (which RocksDB's memory comes from) gives large blocks back to the system once they are freed: by itself it
/// keeps blocks of a size that was freed before on its heap, where the small ones between them hold them fast.
pub fn return_large_blocks() {
    const LARGE: libc::c_int = 256 << 10;
    // SAFETY: it sets a number that the allocator reads; any thread may call it at any time (mallopt(3)).
    // It fails for a number that is too large, which this one is not.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE) };
}

/// The private mappings of files that cannot be written and have no page of their own, also none in swap (proc(5), smaps):
/// `55d2-55d9 r-xp 00acd000 08:01 4711  /usr/bin/cox`, then lines of figures, `Anonymous: 0 kB` and `Swap: 0 kB` among them.
fn unchanged(smaps: &str) -> Vec<Range<usize>> {
    let (mut found, mut mapping): (Vec<_>, Option<Range<usize>>) = (Vec::new(), None);
    for line in smaps.lines() {
        if let Some(copies) = line.strip_prefix("Anonymous:") {
            mapping = mapping.filter(|_| copies.trim() == "0 kB");
        } else if let Some(copies) = line.strip_prefix("Swap:") {
            found.extend(mapping.take().filter(|_| copies.trim() == "0 kB"));
        } else if let Some(range) = range(line) {
            mapping = of_file(line).then_some(range);
        }
    }
    found
}

/// The addresses at the beginning of a mapping's first line; none of any other line.
fn range(line: &str) -> Option<Range<usize>> {
    let (start, end) = line.split(' ').next()?.split_once('-')?;
    Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
}

fn of_file(line: &str) -> bool {
    let mut fields = line.split_whitespace().skip(1);
    let read_only = fields.next().is_some_and(|rights| matches!(rights, "r-xp" | "r--p"));
    read_only && fields.nth(3).is_some_and(|path| path.starts_with('/'))
}

/// Sets a terminal's size.
///
/// # Errors
/// ENOTTY and the like.
pub(crate) fn set_terminal_size(terminal: impl AsFd, width: u16, height: u16) -> io::Result<()> {
    let size = libc::winsize { ws_row: height, ws_col: width, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCSWINSZ reads one winsize, which lives until the call returns.
    check(unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCSWINSZ, &raw const size) })
}

/// Brings an interface of the calling thread's network namespace up or down.
///
/// # Errors
/// ENODEV and the like.
pub(crate) fn set_interface_up(name: &str, up: bool) -> io::Result<()> {
    let control = control_socket()?;
    let mut request = interface_request(name)?;
    // SAFETY: the request is a zeroed ifreq with a terminated name; the kernel fills in the flags.
    check(unsafe { libc::ioctl(control.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request) })?;
    let bit = libc::IFF_UP as libc::c_short;
    // SAFETY: SIOCGIFFLAGS has just filled this member of the union.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    request.ifr_ifru.ifru_flags = if up { flags | bit } else { flags & !bit };
    // SAFETY: as above; the kernel reads the flags.
    check(unsafe { libc::ioctl(control.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) })
}

/// Deletes a bridge, which must be down.
///
/// # Errors
/// ENXIO when there is none of this name.
pub(crate) fn delete_bridge(name: &str) -> io::Result<()> {
    const SIOCBRDELBR: libc::c_ulong = 0x89a1;
    let control = control_socket()?;
    let name = CString::new(name)?;
    // SAFETY: SIOCBRDELBR reads a terminated name of at most IFNAMSIZ bytes and stops at its end.
    check(unsafe { libc::ioctl(control.as_raw_fd(), SIOCBRDELBR as _, name.as_ptr()) })
}

fn control_socket() -> io::Result<OwnedFd> {
    Ok(socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?)
}

fn interface_request(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: an all-zero ifreq is a valid value of this plain C structure.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    Ok(request)
}

/// Sets an extended attribute without following a link at the path's end.
///
/// # Errors
/// ENOTSUP where the file system has none, EPERM, ENOSPC.
pub(crate) fn set_xattr(path: &Path, name: &[u8], value: &[u8]) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_encoded_bytes())?;
    let name = CString::new(name)?;
    // SAFETY: both strings are terminated and the value's length is passed; all live until the call returns.
    check(unsafe { libc::lsetxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) })
}

/// Gives up every capability for good: bounding, ambient, effective, permitted and inheritable sets.
///
/// # Errors
/// EPERM when the bounding set may not be changed.
pub(crate) fn drop_capabilities() -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    for capability in 0..64 {
        // SAFETY: prctl with plain numbers; EINVAL marks the end of what this kernel knows.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } < 0 {
            break;
        }
    }
    let header = Header { version: 0x2008_0522, pid: 0 };
    let none = [0_u32; 6];
    // SAFETY: version 3 of capset reads the header and two triples of u32, which both live here.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) } as libc::c_int)
}

/// A descriptor that stands for a process and becomes readable when it ends.
///
/// # Errors
/// ESRCH when there is no such process.
pub(crate) fn pidfd_open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes two numbers and returns a new descriptor or an error.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Sends a signal to the process that the descriptor stands for.
///
/// # Errors
/// ESRCH when it has ended; EINVAL for no signal.
pub(crate) fn pidfd_send_signal(process: impl AsFd, signal: i32) -> io::Result<()> {
    let none = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: pidfd_send_signal takes numbers and, here, no information to go with the signal.
    let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process.as_fd().as_raw_fd(), signal, none, 0) };
    check(sent as libc::c_int)
}

/// Waits for a descriptor in tokio's way.
///
/// # Errors
/// EPERM for descriptors that cannot be waited for.
pub(crate) fn async_fd(fd: OwnedFd, interest: tokio::io::Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd keeps its number and stays open until it is dropped, which deregisters it first.
    Ok(unsafe { AsyncFd::register_with_interest(fd, interest) }?)
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
