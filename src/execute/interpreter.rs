//! One interpreter, and what programs do in it.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::Instant,
};

use wasmtime::{Instance, InstancePre, Store, Trap};

use super::{Limits, Sandbox, System};
use crate::trace::{Execution, Outcome};

/// A Python interpreter that is still as it was loaded, or as the programs run in it left it.
pub struct Interpreter<'a> {
    sandbox: &'a Sandbox,
    limits: Limits,
    store: Store<System>,
    instance: Option<Instance>,
    over: bool,
}

impl<'a> Interpreter<'a> {
    pub(super) fn new(sandbox: &'a Sandbox, limits: &Limits) -> Self {
        let mut store = Store::new(&sandbox.engine, System::new(limits));
        store.limiter(|system| system);
        Self {
            sandbox,
            limits: *limits,
            store,
            instance: None,
            over: false,
        }
    }

    /// Runs a program with all the limits for itself, but `fuel` in place of theirs. It is not asked for
    /// its value.
    ///
    /// # Panics
    /// After [`Interpreter::is_over`].
    pub fn run(&mut self, program: &str, fuel: u64) -> Execution {
        assert!(!self.over, "the interpreter was stopped");
        self.limits.fuel = fuel;
        self.execute(program, false)
    }

    /// Whether a program was stopped from outside Python (at a limit, by `os._exit`, in a crash), so that
    /// no other can run. One that raises or calls `exit` does not end the interpreter.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Runs a program that, if it prints nothing, is asked for its value.
    pub(super) fn run_for_value(&mut self, program: &str) -> Execution {
        let mut execution = self.execute(program, true);
        if execution.outcome == Outcome::Finished {
            let value = self.store.data_mut().value.take();
            execution.value = value.or_else(|| last_line(&execution.stdout).map(str::to_owned));
        }
        execution
    }

    fn execute(&mut self, program: &str, ask: bool) -> Execution {
        let start = Instant::now();
        let outcome = match self.sandbox.fits(program, &self.limits) {
            Err(outcome) => {
                self.over = true;
                return Execution {
                    outcome,
                    stdout: String::new(),
                    value: None,
                    fuel: 0,
                    ms: 0.0,
                };
            }
            Ok(()) => self.outcome(program, ask, start),
        };
        let stdout = std::mem::take(&mut self.store.data_mut().stdout);
        Execution {
            outcome,
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            value: None,
            fuel: self.limits.fuel - self.store.get_fuel().unwrap_or(0),
            ms: start.elapsed().as_secs_f64() * 1e3,
        }
    }

    fn outcome(&mut self, program: &str, ask: bool, start: Instant) -> Outcome {
        let (store, limits) = (&mut self.store, &self.limits);
        let ran = store
            .set_fuel(limits.fuel)
            .and_then(|()| store.fuel_async_yield_interval(Some(FUEL_PER_LOOK)))
            .and_then(|()| {
                let interpreter = &self.sandbox.interpreter;
                let run = drive(interpreter, store, &mut self.instance, program, limits, ask);
                block_on(run, || start.elapsed() > limits.deadline)
            });
        match ran {
            Ok(()) => store
                .data_mut()
                .take_outcome(limits)
                .expect("the guest reports before it returns"),
            Err(error) => {
                self.over = true;
                stopped(&error, store, self.instance, limits, start)
            }
        }
    }
}

/// Fuel between two looks at the clock: some ten milliseconds.
const FUEL_PER_LOOK: u64 = 20_000_000;

/// Places the program in the instance, a fresh one where there is none yet, runs it and, if it
/// printed nothing and is to be asked, asks for its value.
async fn drive(
    interpreter: &InstancePre<System>,
    store: &mut Store<System>,
    guest: &mut Option<Instance>,
    program: &str,
    limits: &Limits,
    ask: bool,
) -> wasmtime::Result<()> {
    let instance = match *guest {
        Some(instance) => instance,
        None => *guest.insert(interpreter.instantiate_async(&mut *store).await?),
    };
    let length = u32::try_from(program.len())?;
    let room = instance.get_typed_func::<u32, u32>(&mut *store, "room")?;
    let room = room.call_async(&mut *store, length).await?;
    let memory = instance.get_memory(&mut *store, "memory");
    let memory = memory.ok_or_else(|| wasmtime::Error::msg("the guest exports no memory"))?;
    memory.write(&mut *store, room as usize, program.as_bytes())?;
    let run = instance.get_typed_func::<u32, ()>(&mut *store, "run")?;
    let recursion_max = u32::try_from(limits.recursion_max).unwrap_or(u32::MAX);
    run.call_async(&mut *store, recursion_max).await?;
    if ask && store.data().wants_value() {
        let value = instance.get_typed_func::<(), ()>(&mut *store, "value")?;
        value.call_async(&mut *store, ()).await?;
    }
    Ok(())
}

/// Polls `future`, which wakes itself, until it is done or `late` says it has had its time.
pub(super) fn block_on<T>(
    future: impl Future<Output = wasmtime::Result<T>>,
    late: impl Fn() -> bool,
) -> wasmtime::Result<T> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(ran) => return ran,
            Poll::Pending if late() => return Err(Late.into()),
            Poll::Pending => {}
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the deadline has passed")]
struct Late;

/// The outcome of a program that was stopped from outside Python.
fn stopped(
    error: &wasmtime::Error,
    store: &mut Store<System>,
    guest: Option<Instance>,
    limits: &Limits,
    start: Instant,
) -> Outcome {
    if let Some(outcome) = store.data_mut().stop.take() {
        return outcome;
    }
    if error.is::<Late>() {
        let used = start.elapsed().as_millis() as u64;
        return Outcome::Deadline {
            limit: limits.deadline.as_millis() as u64,
            used,
        };
    }
    let recursion = limits.recursion_max as u64;
    let too_deep = Outcome::RecursionTooDeep {
        limit: recursion,
        used: recursion,
    };
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Outcome::OutOfFuel {
            limit: limits.fuel,
            used: limits.fuel,
        },
        Some(Trap::StackOverflow) => too_deep,
        // The guest's stack grows towards address zero.
        Some(Trap::MemoryOutOfBounds) if stack_pointer(store, guest) < STACK_MARGIN => too_deep,
        // A panic has said why; an abort has not.
        _ => store
            .data_mut()
            .take_outcome(limits)
            .unwrap_or(Outcome::Crashed {
                error: format!("{error:#}"),
            }),
    }
}

/// No frame of the guest is larger.
const STACK_MARGIN: i32 = 64 << 10;

fn stack_pointer(store: &mut Store<System>, guest: Option<Instance>) -> i32 {
    guest
        .and_then(|guest| guest.get_global(&mut *store, "__stack_pointer"))
        .and_then(|pointer| pointer.get(&mut *store).i32())
        .unwrap_or(i32::MAX)
}

fn last_line(stdout: &str) -> Option<&str> {
    stdout
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty())
}
