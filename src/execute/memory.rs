//! The memory of instances: private, copy-on-write mappings of the snapshot's image, used again.
//!
//! After a program, the pages it wrote are copied back from the image in place, so the next
//! program in that mapping takes no page fault for them: a five-line program takes 0.12 ms instead
//! of 0.78. wasmtime's pooling allocator means to do the same, but from Linux 6.18 on its scan
//! (wasmtime 50) takes pages that were never touched for written ones, spends its budget on them
//! and falls back to dropping all pages.

#[cfg_attr(not(target_os = "linux"), path = "memory/pages_elsewhere.rs")]
mod pages;

use std::{
    fs::File,
    ops::Range,
    os::fd::OwnedFd,
    ptr::{self, NonNull},
    sync::{Arc, Mutex},
};

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap, mmap_anonymous, mprotect, munmap};
use wasmtime::{LinearMemory, MemoryCreator, MemoryType, Result};

/// Pages that a program may have written for them to be copied back one by one; beyond it the
/// image is mapped anew.
const COPIED_PAGES_MAX: usize = 4096;

/// Every page that was ever written is copied back, which for a mapping that ran a large program
/// takes longer than the small programs after it. So above this many pages (a five-line program
/// writes 130, a SymPy one 2,700) it is copied only a few times, then mapped anew.
const FEW_PAGES: usize = 512;
const COPIES_MAX: u32 = 4;
pub(super) const PAGE_BYTES: usize = 4096;

/// Makes memories that begin as the image, and keeps those that are no longer used.
pub(super) struct Memories {
    image: Image,
    idle: Idle,
}

pub(super) type Idle = Arc<Mutex<Vec<Mapping>>>;

/// The snapshot's linear memory in a file, of which a read-only view is kept.
#[derive(Clone)]
struct Image {
    file: Arc<File>,
    view: Arc<Mapping>,
    bytes: usize,
    /// Keeps the kernel from mapping neighbours of pages that are read.
    page_by_page: Option<Arc<OwnedFd>>,
}

impl Memories {
    /// `file` holds nothing but the image and is not written as long as it is open.
    pub fn new(file: File) -> std::io::Result<Self> {
        let bytes = usize::try_from(file.metadata()?.len()).expect("an image fits in memory");
        let view = Mapping::reserve(bytes)?;
        view.map_file(&file, ProtFlags::READ, bytes)?;
        let image = Image {
            file: Arc::new(file),
            view: Arc::new(view),
            bytes,
            page_by_page: pages::page_by_page().map(Arc::new),
        };
        Ok(Self {
            image,
            idle: Idle::default(),
        })
    }
}

// SAFETY: `Memory` below has `minimum` accessible bytes, may grow to `capacity`, never moves, and
// lies in a reservation whose other bytes, guard included, are inaccessible.
#[expect(unsafe_code, reason = "wasmtime asks that memory be made as it says")]
unsafe impl MemoryCreator for Memories {
    fn new_memory(
        &self,
        _: MemoryType,
        minimum: usize,
        _: Option<usize>,
        reserved: Option<usize>,
        guard: usize,
    ) -> Result<Box<dyn LinearMemory>, String> {
        let capacity = reserved.ok_or("memory must be reserved up front")?;
        if minimum != self.image.bytes {
            return Err(format!("a memory of {minimum} bytes is not the image"));
        }
        let idle = self.idle.lock().expect("no thread panics here").pop();
        let mapping = match idle {
            Some(mapping) => mapping,
            None => Mapping::reserve(capacity + guard)
                .and_then(|mapping| {
                    mapping.map_image(&self.image)?;
                    Ok(mapping)
                })
                .map_err(|error| error.to_string())?,
        };
        Ok(Box::new(Memory {
            mapping: Some(mapping),
            size: minimum,
            capacity,
            image: self.image.clone(),
            idle: self.idle.clone(),
        }))
    }
}

/// The memory of one instance.
struct Memory {
    /// `None` only while it is dropped.
    mapping: Option<Mapping>,
    size: usize,
    capacity: usize,
    image: Image,
    idle: Idle,
}

impl Memory {
    fn mapping(&self) -> &Mapping {
        self.mapping.as_ref().expect("present until dropped")
    }
}

// SAFETY: as for `Memories`; `grow_to` makes the bytes below the new size accessible.
#[expect(unsafe_code, reason = "wasmtime asks that memory be made as it says")]
unsafe impl LinearMemory for Memory {
    fn byte_size(&self) -> usize {
        self.size
    }

    fn byte_capacity(&self) -> usize {
        self.capacity
    }

    fn grow_to(&mut self, size: usize) -> Result<()> {
        if size > self.capacity {
            return Err(wasmtime::Error::msg("memory is full"));
        }
        self.mapping().allow(self.size..size)?;
        self.size = size;
        Ok(())
    }

    fn as_ptr(&self) -> *mut u8 {
        self.mapping().start.as_ptr()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let Some(mut mapping) = self.mapping.take() else {
            return;
        };
        // A mapping that cannot be restored is unmapped instead of being used again.
        if mapping.restore(&self.image, self.size).is_ok() {
            self.idle
                .lock()
                .expect("no thread panics here")
                .push(mapping);
        }
    }
}

/// A range of addresses that is ours until it is dropped.
pub(super) struct Mapping {
    start: NonNull<u8>,
    pub bytes: usize,
    /// How often more than [`FEW_PAGES`] were copied back.
    copies: u32,
}

// SAFETY: a mapping is owned memory; the pointer is only used through the owner.
#[expect(unsafe_code, reason = "a raw pointer is neither")]
unsafe impl Send for Mapping {}
// SAFETY: as above; shared mappings are only read.
#[expect(unsafe_code, reason = "a raw pointer is neither")]
unsafe impl Sync for Mapping {}

#[expect(unsafe_code, reason = "mappings are made by system calls on addresses")]
impl Mapping {
    /// Inaccessible addresses that take no memory.
    pub fn reserve(bytes: usize) -> std::io::Result<Self> {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new mapping at an address that the kernel chooses.
        let start = unsafe { mmap_anonymous(ptr::null_mut(), bytes, ProtFlags::empty(), flags)? };
        let start = NonNull::new(start.cast()).expect("the kernel maps nothing at zero");
        Ok(Self {
            start,
            bytes,
            copies: 0,
        })
    }

    fn map_image(&self, image: &Image) -> std::io::Result<()> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        self.map_file(&image.file, access, image.bytes)?;
        if let Some(handle) = &image.page_by_page {
            pages::register(handle, self, image.bytes);
        }
        Ok(())
    }

    /// Maps the file's first bytes over ours, privately.
    fn map_file(&self, file: &File, access: ProtFlags, bytes: usize) -> std::io::Result<()> {
        assert!(bytes <= self.bytes);
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED;
        // SAFETY: the range is ours, and no reference into it exists.
        unsafe { mmap(self.start.as_ptr().cast(), bytes, access, flags, file, 0)? };
        Ok(())
    }

    pub fn at(&self, offset: usize) -> *mut u8 {
        assert!(offset <= self.bytes);
        self.start.as_ptr().wrapping_add(offset)
    }

    /// Makes a range readable and writable.
    pub fn allow(&self, range: Range<usize>) -> std::io::Result<()> {
        let access = MprotectFlags::READ | MprotectFlags::WRITE;
        assert!(range.end <= self.bytes);
        // SAFETY: the range is ours.
        unsafe { mprotect(self.at(range.start).cast(), range.len(), access)? };
        Ok(())
    }

    /// Makes the first `size` bytes, which an instance used, what they were before it.
    fn restore(&mut self, image: &Image, size: usize) -> std::io::Result<()> {
        if size > image.bytes {
            let (grown, flags) = (size - image.bytes, MapFlags::PRIVATE | MapFlags::NORESERVE);
            let flags = flags | MapFlags::FIXED;
            // SAFETY: the range is ours, and the instance that used it is gone.
            unsafe {
                mmap_anonymous(
                    self.at(image.bytes).cast(),
                    grown,
                    ProtFlags::empty(),
                    flags,
                )?;
            }
        }
        let Some(written) = pages::written(self, image.bytes) else {
            return self.map_image(image);
        };
        if written.iter().map(Range::len).sum::<usize>() > FEW_PAGES * PAGE_BYTES {
            self.copies += 1;
            if self.copies > COPIES_MAX {
                self.copies = 0;
                return self.map_image(image);
            }
        }
        for range in written {
            let (from, to) = (image.view.at(range.start), self.at(range.start));
            // SAFETY: both ranges are inside their mappings of the image's length, which do not
            // overlap, and the instance that used ours is gone.
            unsafe { ptr::copy_nonoverlapping(from, to, range.len()) };
        }
        Ok(())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is ours, and nothing refers to it any more.
        #[expect(unsafe_code, reason = "what is mapped is unmapped")]
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}
