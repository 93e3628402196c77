//! llama.cpp as a whole: its one initialisation, and what it complains of.

use std::{
    ffi::{CStr, c_char, c_void},
    fs::File,
    io::Read,
    path::Path,
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use llama_cpp_2::llama_backend::LlamaBackend;

use crate::error::{Error, Result};

/// Nanoseconds that this process has spent in [`inside`].
static INSIDE: AtomicU64 = AtomicU64::new(0);

/// How long this process has been inside llama.cpp, evaluating or making contexts.
pub fn time_inside() -> Duration {
    Duration::from_nanos(INSIDE.load(Ordering::Relaxed))
}

/// Calls llama.cpp, and counts the time.
pub(super) fn inside<T>(call: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = call();
    let time = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
    INSIDE.fetch_add(time, Ordering::Relaxed);
    result
}

/// What llama.cpp first complained of since this was last emptied.
static COMPLAINT: Mutex<String> = Mutex::new(String::new());

/// llama.cpp, initialised once in a process, its messages kept from the terminal. Public for
/// programs that use the bindings beside this crate: llama.cpp refuses a second initialisation.
pub fn backend() -> &'static LlamaBackend {
    static BACKEND: OnceLock<LlamaBackend> = OnceLock::new();
    BACKEND.get_or_init(|| {
        let backend = LlamaBackend::init().expect("nobody else initialises llama.cpp");
        keep_complaints();
        backend
    })
}

/// Keeps an error message of llama.cpp, which the bindings reduce to "null result". The first one
/// names the cause; those that follow only say that something failed.
#[expect(
    unsafe_code,
    reason = "the bindings can drop messages or trace them, not hand them over"
)]
fn keep_complaints() {
    unsafe extern "C" fn keep(
        level: llama_cpp_sys_2::ggml_log_level,
        text: *const c_char,
        _: *mut c_void,
    ) {
        if level == llama_cpp_sys_2::GGML_LOG_LEVEL_ERROR
            && let Ok(mut complaint) = COMPLAINT.lock()
            && complaint.is_empty()
        {
            // SAFETY: llama.cpp passes a string that ends in NUL and lives during the call.
            *complaint = unsafe { CStr::from_ptr(text) }
                .to_string_lossy()
                .into_owned();
        }
    }
    // SAFETY: the callback keeps nothing of its arguments, and it is never unset.
    unsafe { llama_cpp_sys_2::llama_log_set(Some(keep), std::ptr::null_mut()) };
}

/// An error about a model file, with llama.cpp's own words.
pub(super) fn failure(path: &Path, what: &str) -> Error {
    let complaint = COMPLAINT
        .lock()
        .map(|mut text| std::mem::take(&mut *text))
        .unwrap_or_default();
    // Behind the names of functions: "llama_model_load: error loading model: ...".
    let cause = complaint
        .trim()
        .rsplit_once("error loading model: ")
        .map_or(complaint.trim(), |(_, cause)| cause);
    let reason = if cause.is_empty() {
        what.to_owned()
    } else {
        format!("{what}: {cause}")
    };
    Error::Model {
        model: path.display().to_string(),
        reason,
    }
}

/// Says what is wrong with a file that cannot be a model, before llama.cpp is asked.
pub(super) fn check_gguf(path: &Path) -> Result<()> {
    let mut magic = [0; 4];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    let reason = match read {
        Ok(()) if &magic == b"GGUF" => return Ok(()),
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => {
            let from_hub = path.extension().is_none_or(|extension| extension != "gguf")
                && path.components().count() == 2;
            let hint = if from_hub {
                format!("; from the hub it is hf:{}", path.display())
            } else {
                String::new()
            };
            format!("there is no such file{hint}")
        }
        Err(source) if source.kind() == std::io::ErrorKind::IsADirectory => {
            "it is a folder; make a GGUF file of it with llama.cpp's convert_hf_to_gguf.py"
                .to_owned()
        }
        Err(source) if source.kind() != std::io::ErrorKind::UnexpectedEof => source.to_string(),
        _ => "it is not a GGUF file; convert it with llama.cpp's convert_hf_to_gguf.py".to_owned(),
    };
    Err(Error::Model {
        model: path.display().to_string(),
        reason,
    })
}
