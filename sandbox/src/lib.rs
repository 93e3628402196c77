//! The guest: RustPython as a WebAssembly module that runs one program and reports how it ended.
//!
//! The host calls `wizer-initialize` once, when it takes the snapshot; then, in a fresh copy of
//! that snapshot for each program, `room`, `run` and, if nothing was printed, `value`.

mod set_order;

use std::cell::{OnceCell, RefCell};

use rustpython_vm::{
    AsObject, Interpreter, PyObject, PyResult, Settings, VirtualMachine,
    builtins::{PyBaseExceptionRef, PyStrRef},
    compiler::{CompileError, CompileOpts, Mode, codegen::error::CodegenErrorType},
    scope::Scope,
};

/// How a program ended; the host reads the same numbers in `src/execute/system.rs`.
#[repr(i32)]
enum Report {
    Finished = 0,
    Value = 1,
    SyntaxError = 2,
    Raised = 3,
    RecursionError = 4,
    MemoryError = 5,
    Panic = 6,
}

#[link(wasm_import_module = "rerank")]
unsafe extern "C" {
    /// Tells the host how the program ended, or what it computed.
    #[link_name = "report"]
    fn host_report(report: i32, text: *const u8, text_len: usize);
    /// Copies a package's file into `room` and returns its length in bytes, -1 if there is none.
    /// Answers only while the snapshot is taken.
    #[link_name = "source"]
    fn host_source(path: *const u8, path_len: usize, room: *mut u8, room_len: usize) -> i32;
}

thread_local! {
    static INTERPRETER: OnceCell<(Interpreter, Scope)> = const { OnceCell::new() };
    static PROGRAM: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Brings the interpreter to the state that every program starts from.
#[unsafe(export_name = "wizer-initialize")]
pub extern "C" fn initialize() {
    std::panic::set_hook(Box::new(|panic| {
        report(
            Report::Panic,
            panic.payload_as_str().unwrap_or("no message"),
        );
    }));
    let mut settings = Settings::default();
    settings.isolated = true;
    settings.ignore_environment = true;
    settings.install_signal_handlers = false;
    settings.import_site = false;
    settings.write_bytecode = false;
    // The order in which a set of strings is walked would differ between runs.
    settings.hash_seed = Some(0);
    let builder = Interpreter::builder(settings);
    let native_modules = rustpython_stdlib::stdlib_module_defs(&builder.ctx);
    let interpreter = builder
        .add_native_modules(&native_modules)
        .add_frozen_modules(rustpython_pylib::FROZEN_STDLIB)
        .build();
    let scope = interpreter.enter(|vm| {
        set_order::install(vm);
        prepare(vm).unwrap_or_else(|error| panic!("{}", traceback(&error, vm)))
    });
    INTERPRETER.with(|cell| assert!(cell.set((interpreter, scope)).is_ok(), "initialized twice"));
}

/// Makes room for a program of `len` bytes of UTF-8, which the host writes there.
#[unsafe(export_name = "room")]
pub extern "C" fn room(len: usize) -> *mut u8 {
    PROGRAM.with_borrow_mut(|program| {
        *program = vec![0; len];
        program.as_mut_ptr()
    })
}

/// Runs the program and reports how it ended.
#[unsafe(export_name = "run")]
pub extern "C" fn run(recursion_max: usize) {
    let program = PROGRAM.take();
    let program = str::from_utf8(&program).expect("the host writes UTF-8");
    with_interpreter(|vm, scope| {
        vm.recursion_limit
            .set(vm.recursion_limit.get().min(recursion_max));
        RECURSION_MAX.set(recursion_max);
        match compile(program, vm) {
            Ok(code) => {
                let end = vm.run_code_obj(code, scope.clone()).map(drop);
                report_end(end.and_then(|()| flush(vm)), vm);
            }
            Err(report_and_text) => report(report_and_text.0, &report_and_text.1),
        }
    });
}

/// Reports what a program that printed nothing computed: `solution()`, else `ans`, else `answer`.
#[unsafe(export_name = "value")]
pub extern "C" fn value() {
    with_interpreter(|vm, scope| match computed(vm, scope) {
        Ok(Some(text)) => match flush(vm) {
            Ok(()) => report(Report::Value, &text),
            Err(error) => report_end(Err(error), vm),
        },
        Ok(None) => report_end(flush(vm), vm),
        Err(error) => report_end(Err(error), vm),
    });
}

fn computed(vm: &VirtualMachine, scope: &Scope) -> PyResult<Option<String>> {
    let global = |name: &str| scope.globals.get_item_opt(name, vm);
    let mut value = None;
    if let Some(solution) = global("solution")?
        && takes_nothing(&solution, vm)
    {
        value = Some(solution.call((), vm)?).filter(|value| !vm.is_none(value));
    }
    for name in ["ans", "answer"] {
        if value.is_none() {
            value = global(name)?.filter(|value| !vm.is_none(value));
        }
    }
    value
        .map(|value| Ok(value.str(vm)?.to_string_lossy().into_owned()))
        .transpose()
}

/// Whether `function` is a Python function that can be called without arguments.
fn takes_nothing(function: &PyObject, vm: &VirtualMachine) -> bool {
    let required = || {
        let code = function.get_attr("__code__", vm)?;
        let mut required = 0;
        for (count, defaults) in [
            ("co_argcount", "__defaults__"),
            ("co_kwonlyargcount", "__kwdefaults__"),
        ] {
            required += code.get_attr(count, vm)?.try_into_value::<usize>(vm)?;
            let defaults = function.get_attr(defaults, vm)?;
            if !vm.is_none(&defaults) {
                required -= defaults.length(vm)?;
            }
        }
        PyResult::Ok(required)
    };
    required().is_ok_and(|required| required == 0)
}

/// Compiles without `VirtualMachine::compile`'s two extra passes over the text, whose warnings
/// nobody would see.
fn compile(
    program: &str,
    vm: &VirtualMachine,
) -> Result<rustpython_vm::PyRef<rustpython_vm::builtins::PyCode>, (Report, String)> {
    rustpython_vm::compiler::compile(program, Mode::Exec, "<program>", CompileOpts::default())
        .map(|code| rustpython_vm::builtins::PyCode::new_ref_from_bytecode(vm, code))
        .map_err(|error| {
            let report = match &error {
                CompileError::Codegen(error)
                    if matches!(error.error, CodegenErrorType::RecursionError) =>
                {
                    Report::RecursionError
                }
                _ => Report::SyntaxError,
            };
            (
                report,
                last_line(&vm.new_syntax_error(&error, Some(program)), vm),
            )
        })
}

/// What `sys.stdout` still holds must reach the host before the end.
fn flush(vm: &VirtualMachine) -> PyResult<()> {
    let stdout = vm.sys_module.get_attr("stdout", vm)?;
    let original = vm.sys_module.get_attr("__stdout__", vm)?;
    if !stdout.is(&original) && !vm.is_none(&stdout) {
        // A program may have put anything there.
        let _ = vm.call_method(&stdout, "flush", ());
    }
    // As CPython does at its end, a closed stream is left alone.
    match original.get_attr("closed", vm)?.is_true(vm)? {
        true => Ok(()),
        false => vm.call_method(&original, "flush", ()).map(drop),
    }
}

fn report_end(end: PyResult<()>, vm: &VirtualMachine) {
    let Err(error) = end else {
        return report(Report::Finished, "");
    };
    if let Err(error) = flush(vm) {
        return report(Report::Raised, &last_line(&error, vm));
    }
    let is = |class| error.fast_isinstance(class);
    let exceptions = &vm.ctx.exceptions;
    let (kind, text) = if is(exceptions.system_exit) && exits_cleanly(&error, vm) {
        (Report::Finished, String::new())
    } else if is(exceptions.recursion_error) {
        (Report::RecursionError, vm.recursion_limit.get().to_string())
    } else if is(exceptions.memory_error) {
        (Report::MemoryError, String::new())
    } else {
        (Report::Raised, last_line(&error, vm))
    };
    report(kind, &text);
}

fn exits_cleanly(exit: &PyBaseExceptionRef, vm: &VirtualMachine) -> bool {
    let code = exit.as_object().get_attr("code", vm);
    code.is_ok_and(|code| {
        vm.is_none(&code)
            || vm
                .bool_eq(&code, vm.ctx.new_int(0).as_ref())
                .unwrap_or(false)
    })
}

/// An exception as the last line of CPython's traceback shows it.
fn last_line(error: &PyBaseExceptionRef, vm: &VirtualMachine) -> String {
    let class = error.class();
    let attribute = |name: &'static str| {
        let text = class.as_object().get_attr(name, vm).ok()?;
        Some(text.str(vm).ok()?.to_string_lossy().into_owned())
    };
    let mut line = match attribute("__module__").as_deref() {
        None | Some("builtins" | "__main__") => String::new(),
        Some(module) => format!("{module}."),
    };
    line += &attribute("__qualname__").unwrap_or_else(|| class.name().to_string());
    let message = error
        .as_object()
        .str(vm)
        .map(|text| text.to_string_lossy().into_owned());
    match message {
        Ok(message) if message.is_empty() => {}
        Ok(message) => line += &format!(": {message}"),
        Err(_) => line += ": <exception str() failed>",
    }
    line
}

fn report(report: Report, text: &str) {
    // SAFETY: the host reads `text.len()` bytes and keeps no pointer.
    unsafe { host_report(report as i32, text.as_ptr(), text.len()) }
}

fn with_interpreter(act: impl FnOnce(&VirtualMachine, &Scope)) {
    INTERPRETER.with(|cell| {
        let (interpreter, scope) = cell.get().expect("taken from a snapshot");
        interpreter.enter(|vm| act(vm, scope));
    });
}

/// Loads what programs use and returns the scope they run in.
fn prepare(vm: &VirtualMachine) -> PyResult<Scope> {
    let scope = vm.new_scope_with_builtins();
    let source = vm.new_function("source", |path: PyStrRef| package_source(path.as_ref()));
    scope.globals.set_item("source", source.into(), vm)?;
    let limit = vm.new_function("setrecursionlimit", set_recursion_limit);
    scope
        .globals
        .set_item("setrecursionlimit", limit.into(), vm)?;
    let warm_up = vm.ctx.new_str(include_str!("sympy_warm_up.py"));
    scope
        .globals
        .set_item("sympy_warm_up", warm_up.into(), vm)?;
    vm.run_string(scope, include_str!("prelude.py"), "<prelude>")?;
    let scope = vm.new_scope_with_main()?;
    // The first program of an instance should not pay for what every program does.
    for warm_up in include_str!("warm_up.py").split("\n# ---\n") {
        let _ =
            compile(warm_up, vm).map(|code| vm.run_code_obj(code, vm.new_scope_with_builtins()));
    }
    flush(vm)?;
    let gc = vm.import("gc", 0)?;
    for step in ["collect", "freeze"] {
        vm.call_method(&gc, step, ())?;
    }
    Ok(scope)
}

fn package_source(path: &str) -> Option<String> {
    let mut room = Vec::new();
    loop {
        // SAFETY: the host writes at most `room.len()` bytes, and only while it is called.
        let len = unsafe { host_source(path.as_ptr(), path.len(), room.as_mut_ptr(), room.len()) };
        let len = usize::try_from(len).ok()?;
        if len <= room.len() {
            return String::from_utf8(room).ok();
        }
        room = vec![0; len];
    }
}

thread_local! {
    static RECURSION_MAX: std::cell::Cell<usize> = const { std::cell::Cell::new(usize::MAX) };
}

/// `sys.setrecursionlimit`, up to what the host allows.
fn set_recursion_limit(limit: i32, vm: &VirtualMachine) -> PyResult<()> {
    let limit = usize::try_from(limit)
        .ok()
        .filter(|&limit| limit >= 1)
        .ok_or_else(|| {
            vm.new_value_error("recursion limit must be greater or equal than 1".to_owned())
        })?;
    vm.recursion_limit.set(limit.min(RECURSION_MAX.get()));
    Ok(())
}

fn traceback(error: &PyBaseExceptionRef, vm: &VirtualMachine) -> String {
    let mut text = String::new();
    let _ = vm.write_exception(&mut text, error);
    text
}
