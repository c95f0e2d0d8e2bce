//! Many reads at once, past the page cache: Linux native asynchronous I/O.
//!
//! Reading 80,000 small files back one `pread` at a time costs the processor 60 µs each in a virtual machine, most of it for waking the device.
//! Requests that are handed over together are merged by the block layer where the files lie side by side, which files written together do:
//! the same tree then costs 4 µs a file (see [`super::readback`]). `io_uring` would do as well but is often forbidden in containers; these four
//! system calls are as old as Linux 2.6. Where they are refused, the ring reads one request after the other.
//!
//! The only unsafe code of the restore is here. What makes it sound: a [`Ring`] owns the memory that the kernel writes to and the open files that
//! it reads from, gives neither away nor changes them between [`Ring::start`] and the end of [`Ring::finish`], and waits for the kernel when dropped.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;

/// What direct reads must be aligned to: a multiple of every sector and block size in use.
pub(super) const ALIGNMENT: usize = 4096;

/// One request is no longer; devices split longer ones anyway.
pub(super) const REQUEST_BYTES_MAX: usize = 1 << 20;

/// Bytes that one ring reads at once: 1.3 GB/s of a fast disk are reached from 4 MiB on.
const RING_BYTES: usize = 8 << 20;

/// Requests that one ring makes at once: from 64 on, small files come back at the speed of the disk. Each may hold a file open, and with two rings in
/// each of two readers that stays well below the 1024 files that a process may open by default.
const RING_REQUESTS: usize = 128;

/// One read that was asked for.
#[derive(Debug)]
pub(super) struct Request {
    /// Which file of the caller's.
    pub(super) file: usize,
    /// Where in the file.
    pub(super) offset: u64,
    /// How many bytes, a multiple of [`ALIGNMENT`].
    pub(super) length: usize,
    from: Arc<OwnedFd>,
    start: usize,
    result: i64,
}

/// A set of reads that are made together.
#[derive(Debug)]
pub(super) struct Ring {
    queue: Option<Queue>,
    buffer: Vec<u8>,
    /// Where in the buffer the aligned part begins.
    skip: usize,
    used: usize,
    requests: Vec<Request>,
    in_flight: usize,
}

impl Ring {
    /// A ring with its memory.
    pub(super) fn new() -> Self {
        let buffer = vec![0; RING_BYTES + ALIGNMENT];
        let skip = buffer.as_ptr().align_offset(ALIGNMENT);
        let queue = Queue::open(RING_REQUESTS);
        if let Err(error) = &queue {
            tracing::debug!(%error, "no asynchronous reads here: reading one by one");
        }
        Self { queue: queue.ok(), buffer, skip, used: 0, requests: Vec::new(), in_flight: 0 }
    }

    /// How long the next request may be; zero means that the ring is full.
    pub(super) fn room(&self) -> usize {
        if self.requests.len() == RING_REQUESTS { 0 } else { (RING_BYTES - self.used).min(REQUEST_BYTES_MAX) }
    }

    /// Whether nothing was asked for.
    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Asks for `length` bytes (rounded up to whole blocks, at most [`Self::room`]) of a file.
    pub(super) fn push(&mut self, file: usize, from: &Arc<OwnedFd>, offset: u64, length: usize) {
        let length = length.next_multiple_of(ALIGNMENT);
        assert!(self.in_flight == 0 && length <= self.room(), "BUG: a request beyond the ring's room");
        let start = self.skip + self.used;
        self.requests.push(Request { file, offset, length, from: Arc::clone(from), start, result: 0 });
        self.used += length;
    }

    /// Hands all requests to the kernel and returns at once.
    pub(super) fn start(&mut self) {
        let Some(queue) = &self.queue else { return };
        let base = self.buffer.as_mut_ptr();
        let controls: Vec<Control> =
            self.requests.iter().enumerate().map(|(at, request)| request.control(at, base)).collect();
        let accepted = queue.submit(&controls);
        self.in_flight = accepted;
        for request in &mut self.requests[accepted..] {
            request.result = NOT_SUBMITTED;
        }
    }

    /// Waits for all requests, shows each with the bytes that it brought, in the order they were asked for, and empties the ring.
    pub(super) fn finish(&mut self, mut show: impl FnMut(&Request, io::Result<&[u8]>)) {
        self.wait();
        for at in 0..self.requests.len() {
            if self.queue.is_none() || self.requests[at].result == NOT_SUBMITTED {
                self.read_now(at);
            }
            let request = &self.requests[at];
            let found = usize::try_from(request.result);
            let bytes = found.map(|count| &self.buffer[request.start..request.start + count.min(request.length)]);
            show(request, bytes.map_err(|_| io::Error::from_raw_os_error(-request.result as i32)));
        }
        self.requests.clear();
        self.used = 0;
    }

    fn wait(&mut self) {
        let Some(queue) = &self.queue else { return };
        while self.in_flight > 0 {
            let mut events = [Event::default(); 64];
            for event in queue.wait(&mut events) {
                self.in_flight -= 1;
                self.requests[event.data as usize].result = event.result;
            }
        }
    }

    fn read_now(&mut self, at: usize) {
        let Request { from, offset, start, length, .. } = &self.requests[at];
        let read = rustix::io::pread(from, &mut self.buffer[*start..*start + *length], *offset);
        self.requests[at].result = read.map_or_else(|errno| -i64::from(errno.raw_os_error()), |count| count as i64);
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // The buffer is freed after this: nothing may still be on its way into it.
        self.wait();
    }
}

/// Marks a request that the kernel had no room for; it is made when the others are through. No errno is as low.
const NOT_SUBMITTED: i64 = i64::MIN;

impl Request {
    fn control(&self, at: usize, base: *mut u8) -> Control {
        Control {
            data: at as u64,
            file: self.from.as_raw_fd() as u32,
            buffer: base.wrapping_add(self.start) as u64,
            length: self.length as u64,
            offset: self.offset as i64,
            ..Control::default()
        }
    }
}

/// `struct iocb` of linux/aio_abi.h, for a plain read (operation 0).
#[repr(C)]
#[derive(Debug, Default)]
struct Control {
    data: u64,
    key: u32,
    flags_of_call: u32,
    operation: u16,
    priority: i16,
    file: u32,
    buffer: u64,
    length: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    event_file: u32,
}

/// `struct io_event` of linux/aio_abi.h.
#[repr(C)]
#[derive(Debug, Default, Clone, Copy)]
struct Event {
    data: u64,
    control: u64,
    result: i64,
    second_result: i64,
}

/// A kernel context for asynchronous reads.
#[derive(Debug)]
struct Queue {
    context: libc::c_ulong,
}

impl Queue {
    fn open(requests: usize) -> io::Result<Self> {
        let mut context: libc::c_ulong = 0;
        #[expect(unsafe_code, reason = "neither rustix nor libc wraps io_setup")]
        // SAFETY: the kernel writes one `aio_context_t`, an unsigned long that must be zero before, to the address given.
        let result = unsafe { libc::syscall(libc::SYS_io_setup, requests as libc::c_long, &raw mut context) };
        if result == 0 { Ok(Self { context }) } else { Err(io::Error::last_os_error()) }
    }

    /// Hands over as many as the kernel takes and says how many those are.
    fn submit(&self, controls: &[Control]) -> usize {
        let pointers: Vec<*const Control> = controls.iter().map(std::ptr::from_ref).collect();
        let mut accepted = 0;
        while accepted < pointers.len() {
            let (count, rest) = ((pointers.len() - accepted) as libc::c_long, pointers[accepted..].as_ptr());
            #[expect(unsafe_code, reason = "neither rustix nor libc wraps io_submit")]
            // SAFETY: `rest` points to `count` pointers to valid control blocks, which the kernel copies. The memory and the files they name are
            // owned by the ring, which keeps them until every accepted request is done.
            let result = unsafe { libc::syscall(libc::SYS_io_submit, self.context, count, rest) };
            match usize::try_from(result) {
                Ok(more) if more > 0 => accepted += more,
                _ if Errno::from_io_error(&io::Error::last_os_error()) == Some(Errno::INTR) => {}
                _ => break,
            }
        }
        accepted
    }

    /// Waits for at least one request.
    fn wait<'a>(&self, events: &'a mut [Event]) -> &'a [Event] {
        loop {
            let (least, most, no_limit) =
                (1 as libc::c_long, events.len() as libc::c_long, std::ptr::null_mut::<libc::timespec>());
            #[expect(unsafe_code, reason = "neither rustix nor libc wraps io_getevents")]
            // SAFETY: the kernel writes at most `most` events to the slice, which has room for that many.
            let result = unsafe {
                libc::syscall(libc::SYS_io_getevents, self.context, least, most, events.as_mut_ptr(), no_limit)
            };
            if let Ok(count) = usize::try_from(result) {
                return &events[..count];
            }
            let fault = io::Error::last_os_error();
            // The context and the slice are valid, so only a signal can interrupt; anything else means that memory may be written at any time.
            assert!(fault.kind() == io::ErrorKind::Interrupted, "BUG: io_getevents failed: {fault}");
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "neither rustix nor libc wraps io_destroy")]
        // SAFETY: the context came from io_setup and is not used again; the call waits for requests that are still under way.
        unsafe {
            libc::syscall(libc::SYS_io_destroy, self.context);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn check(ring: &mut Ring, from: &Arc<OwnedFd>, content: &[u8]) {
        let mut offsets: Vec<u64> =
            (0..content.len().div_ceil(ALIGNMENT) as u64).map(|block| block * ALIGNMENT as u64).collect();
        offsets.reverse();
        for offset in &offsets {
            ring.push(*offset as usize / ALIGNMENT, from, *offset, ALIGNMENT);
        }
        ring.start();
        let mut seen = Vec::new();
        ring.finish(|request, bytes| {
            let expect = &content[request.offset as usize..content.len().min(request.offset as usize + ALIGNMENT)];
            assert_eq!(bytes.unwrap(), expect);
            assert_eq!(request.file as u64 * ALIGNMENT as u64, request.offset);
            seen.push(request.offset);
        });
        assert_eq!(seen, offsets);
        assert!(ring.is_empty());
    }

    #[test]
    fn bytes_come_back_in_the_order_asked_for() {
        let content: Vec<u8> = (0..50 * ALIGNMENT + 100).map(|at| (at / 7) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content).unwrap();
        let from = Arc::new(OwnedFd::from(file));
        let mut ring = Ring::new();
        for _ in 0..3 {
            check(&mut ring, &from, &content);
        }
        let mut without_queue = Ring::new();
        without_queue.queue = None;
        check(&mut without_queue, &from, &content);
    }

    #[test]
    fn a_fault_is_the_request_s_own() {
        let good = Arc::new(OwnedFd::from(tempfile::tempfile().unwrap()));
        let folder = Arc::new(OwnedFd::from(std::fs::File::open("/").unwrap()));
        let mut ring = Ring::new();
        ring.push(0, &good, 0, 1);
        ring.push(1, &folder, 0, 1);
        ring.push(2, &good, 0, 1);
        ring.start();
        let mut results = Vec::new();
        ring.finish(|request, bytes| results.push((request.file, bytes.is_ok())));
        assert_eq!(results, [(0, true), (1, false), (2, true)]);
    }

    #[test]
    fn a_ring_that_is_dropped_under_way_waits() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![5; RING_BYTES]).unwrap();
        let from = Arc::new(OwnedFd::from(file));
        let mut ring = Ring::new();
        while ring.room() > 0 {
            ring.push(0, &from, 0, ring.room());
        }
        ring.start();
        drop(ring);
    }
}
