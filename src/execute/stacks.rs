//! Stacks for the guest, used again.

use std::ops::Range;

use wasmtime::{Result, StackCreator, StackMemory};

use super::memory::{Idle, Mapping, PAGE_BYTES};

/// Makes stacks, and keeps those that are no longer used.
#[derive(Default)]
pub(super) struct Stacks {
    idle: Idle,
}

// SAFETY: `Stack` is writable, of the size asked for, and ends in an inaccessible page. One that is
// used again is not zeroed, which is not asked for unless `Config::async_stack_zeroing` is set.
#[expect(unsafe_code, reason = "wasmtime asks that stacks be made as it says")]
unsafe impl StackCreator for Stacks {
    fn new_stack(&self, size: usize, zeroed: bool) -> Result<Box<dyn StackMemory>> {
        let idle = self.idle.lock().expect("no thread panics here").pop();
        let bytes = size.next_multiple_of(PAGE_BYTES) + GUARD_BYTES;
        let mapping = match idle.filter(|mapping| mapping.bytes == bytes && !zeroed) {
            Some(mapping) => mapping,
            None => {
                let mapping = Mapping::reserve(bytes)?;
                mapping.allow(GUARD_BYTES..bytes)?;
                mapping
            }
        };
        Ok(Box::new(Stack {
            mapping: Some(mapping),
            idle: self.idle.clone(),
        }))
    }
}

const GUARD_BYTES: usize = 64 << 10;

struct Stack {
    /// `None` only while it is dropped.
    mapping: Option<Mapping>,
    idle: Idle,
}

impl Stack {
    fn mapping(&self) -> &Mapping {
        self.mapping.as_ref().expect("present until dropped")
    }
}

// SAFETY: as for `Stacks`.
#[expect(unsafe_code, reason = "wasmtime asks that stacks be made as it says")]
unsafe impl StackMemory for Stack {
    fn top(&self) -> *mut u8 {
        self.mapping().at(self.mapping().bytes)
    }

    fn range(&self) -> Range<usize> {
        self.mapping().at(GUARD_BYTES) as usize..self.top() as usize
    }

    fn guard_range(&self) -> Range<*mut u8> {
        self.mapping().at(0)..self.mapping().at(GUARD_BYTES)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let mapping = self.mapping.take();
        self.idle
            .lock()
            .expect("no thread panics here")
            .extend(mapping);
    }
}
