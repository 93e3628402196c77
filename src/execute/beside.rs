//! Runs programs on threads of its own while the caller does something else.

use std::{
    num::NonZero,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, Scope},
};

use super::{Limits, Sandbox};
use crate::trace::{Execution, Program};

/// Programs that run beside the caller; each is known by what the caller gave with it.
pub struct Beside<T> {
    programs: Sender<(T, Program)>,
    executions: Receiver<(T, Execution)>,
    unfinished: usize,
    dropped: Arc<AtomicBool>,
}

impl<T: Send> Beside<T> {
    /// One thread per core, in `scope`.
    pub fn start<'scope, 'env>(
        scope: &'scope Scope<'scope, 'env>,
        sandbox: &'env Sandbox,
        limits: &'env Limits,
    ) -> Self
    where
        T: 'scope,
    {
        let (programs, to_run) = channel::<(T, Program)>();
        let (done, executions) = channel();
        let to_run = Arc::new(Mutex::new(to_run));
        let dropped = Arc::new(AtomicBool::new(false));
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            let (to_run, done) = (Arc::clone(&to_run), done.clone());
            let dropped = Arc::clone(&dropped);
            scope.spawn(move || {
                let next = || to_run.lock().expect("no thread panics with it").recv();
                while let Ok((known_by, program)) = next() {
                    if dropped.load(Ordering::Relaxed)
                        || done
                            .send((known_by, sandbox.run(&program, limits)))
                            .is_err()
                    {
                        break;
                    }
                }
            });
        }
        Self {
            programs,
            executions,
            unfinished: 0,
            dropped,
        }
    }

    /// Runs a program when its turn comes.
    pub fn run(&mut self, known_by: T, program: Program) {
        let sent = self.programs.send((known_by, program));
        self.unfinished += usize::from(sent.is_ok());
    }

    /// Programs whose execution has not been taken.
    pub fn unfinished(&self) -> usize {
        self.unfinished
    }

    /// Takes the executions that are there; where there is none yet, waits for one if told to.
    pub fn finished(&mut self, wait: bool) -> Vec<(T, Execution)> {
        let first = if wait && self.unfinished > 0 {
            self.executions.recv().ok()
        } else {
            None
        };
        let finished: Vec<_> = first
            .into_iter()
            .chain(self.executions.try_iter())
            .collect();
        self.unfinished -= finished.len();
        finished
    }
}

impl<T> Drop for Beside<T> {
    /// Programs that have not begun are left alone.
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::Relaxed);
    }
}
