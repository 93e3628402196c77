//! What Linux is asked about pages; elsewhere, and where it is too old, the answer is `None`.

use std::{fs::File, ops::Range, os::fd::OwnedFd, sync::LazyLock};

use rustix::{
    ioctl::{Updater, ioctl, opcode},
    mm::{UserfaultfdFlags, userfaultfd},
};

use super::{COPIED_PAGES_MAX, Mapping, PAGE_BYTES};

/// The pages of a private file mapping that differ from the file, unless they are too many or the
/// kernel (Linux before 6.7) does not tell.
pub(super) fn written(mapping: &Mapping, bytes: usize) -> Option<Vec<Range<usize>>> {
    /// `struct page_region` of linux/fs.h.
    #[repr(C)]
    #[derive(Clone, Copy, Default)]
    struct Region {
        start: u64,
        end: u64,
        categories: u64,
    }
    /// `struct pm_scan_arg` of linux/fs.h.
    #[repr(C)]
    #[derive(Default)]
    struct Scan {
        size: u64,
        flags: u64,
        start: u64,
        end: u64,
        walk_end: u64,
        regions: u64,
        regions_len: u64,
        pages_max: u64,
        category_inverted: u64,
        category_mask: u64,
        category_anyof_mask: u64,
        return_mask: u64,
    }
    const FILE: u64 = 1 << 2;
    const PRESENT: u64 = 1 << 3;
    const SWAPPED: u64 = 1 << 4;
    const REGIONS: usize = 256;
    static PAGEMAP: LazyLock<Option<File>> =
        LazyLock::new(|| File::open("/proc/self/pagemap").ok());

    let pagemap = PAGEMAP.as_ref()?;
    let first = mapping.start.as_ptr() as u64;
    let end = first + bytes as u64;
    let mut written = Vec::with_capacity(REGIONS);
    let (mut from, mut pages) = (first, 0);
    while from < end {
        let mut regions = [Region::default(); REGIONS];
        let mut scan = Scan {
            size: size_of::<Scan>() as u64,
            start: from,
            end,
            regions: regions.as_mut_ptr() as u64,
            regions_len: REGIONS as u64,
            // A page of ours: not the file's, and in memory or in swap.
            category_inverted: FILE,
            category_mask: FILE,
            category_anyof_mask: PRESENT | SWAPPED,
            ..Scan::default()
        };
        // SAFETY: the kernel reads and writes `scan` and at most `REGIONS` regions, which live on.
        #[expect(unsafe_code, reason = "the kernel is asked through a structure")]
        unsafe {
            const PAGEMAP_SCAN: u32 = opcode::read_write::<Scan>(b'f', 16) as u32;
            let request = Updater::<{ PAGEMAP_SCAN as _ }, Scan>::new(&mut scan);
            ioctl(pagemap, request).ok()?;
        }
        for region in regions.iter().take_while(|region| region.end != 0) {
            let range = (region.start - first) as usize..(region.end - first) as usize;
            pages += range.len() / PAGE_BYTES;
            written.push(range);
        }
        if pages > COPIED_PAGES_MAX || scan.walk_end <= from {
            return None;
        }
        from = scan.walk_end;
    }
    Some(written)
}

/// Where a page of a file is read, Linux maps its fifteen neighbours too, and the scan in
/// [`written`] then looks at each: 0.18 ms instead of 0.05. It does not for memory that is
/// registered for asynchronous write protection, which is not used otherwise.
pub(super) fn page_by_page() -> Option<OwnedFd> {
    /// `struct uffdio_api` of linux/userfaultfd.h.
    #[repr(C)]
    struct Api {
        api: u64,
        features: u64,
        ioctls: u64,
    }
    const USER_MODE_ONLY: u32 = 1;
    const WRITE_PROTECT_ASYNC: u64 = 1 << 15;
    let flags = UserfaultfdFlags::CLOEXEC | UserfaultfdFlags::from_bits_retain(USER_MODE_ONLY);
    let mut api = Api {
        api: 0xaa,
        features: WRITE_PROTECT_ASYNC,
        ioctls: 0,
    };
    // SAFETY: a handle that no memory is registered with changes nothing; `api` lives on.
    #[expect(unsafe_code, reason = "the kernel is asked through a structure")]
    unsafe {
        const UFFDIO_API: u32 = opcode::read_write::<Api>(0xaa, 0x3f) as u32;
        let handle = userfaultfd(flags).ok()?;
        ioctl(&handle, Updater::<{ UFFDIO_API as _ }, Api>::new(&mut api)).ok()?;
        Some(handle)
    }
}

/// Registers the first `bytes` of a mapping; where that is not possible, it is only slower.
pub(super) fn register(handle: &OwnedFd, mapping: &Mapping, bytes: usize) {
    /// `struct uffdio_register` of linux/userfaultfd.h.
    #[repr(C)]
    struct Register {
        start: u64,
        bytes: u64,
        mode: u64,
        ioctls: u64,
    }
    const WRITE_PROTECT: u64 = 1 << 1;
    let mut request = Register {
        start: mapping.start.as_ptr() as u64,
        bytes: bytes as u64,
        mode: WRITE_PROTECT,
        ioctls: 0,
    };
    // SAFETY: the range is ours; no page of it is ever protected, so no access waits for us.
    #[expect(unsafe_code, reason = "the kernel is asked through a structure")]
    unsafe {
        const UFFDIO_REGISTER: u32 = opcode::read_write::<Register>(0xaa, 0) as u32;
        let _ = ioctl(
            handle,
            Updater::<{ UFFDIO_REGISTER as _ }, Register>::new(&mut request),
        );
    }
}
