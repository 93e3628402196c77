//! GGUF files: named tensors and metadata, read and written with llama.cpp's own functions.
//!
//! Reading turns every tensor into `f32` with ggml's own dequantisation, so the trainer sees the
//! very weights that inference sees. Writing quantises with ggml's own kernels.

#![expect(
    unsafe_code,
    reason = "ggml is a C library; this file wraps the part of it that handles files"
)]

use std::{
    ffi::{CStr, CString, c_char, c_void},
    fs::File,
    io::{BufWriter, Read, Seek, SeekFrom, Write},
    path::Path,
    ptr, slice,
};

use llama_cpp_sys_2 as sys;

use crate::{Error, Result, file::stream_whole};

/// The content of a GGUF file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gguf {
    /// Keys and values, in the file's order.
    pub metadata: Vec<(String, Value)>,
    /// All weights.
    pub tensors: Vec<Tensor>,
}

/// A named array of numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tensor {
    /// Such as `blk.0.attn_q.weight`; ggml allows 63 bytes.
    pub name: String,
    /// Rows first: a linear layer is `(out, in)`, ggml's `ne` reversed.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub values: Vec<f32>,
}

/// How weights are stored. Vectors (norms, biases) stay `f32` in each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits a weight.
    F32,
    /// 16 bits a weight.
    #[default]
    F16,
    /// 8.5 bits a weight, in blocks of 32.
    Q8_0,
    /// 4.5 bits a weight, in blocks of 256. Rows that are no multiple of 256 are stored as `Q5_0`,
    /// as llama.cpp's own quantiser does.
    Q4K,
}

/// A metadata value.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the GGUF type of that name")]
pub enum Value {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    U64(u64),
    I64(i64),
    F32(f32),
    F64(f64),
    Bool(bool),
    String(String),
    U8s(Vec<u8>),
    U32s(Vec<u32>),
    I32s(Vec<i32>),
    F32s(Vec<f32>),
    Bools(Vec<bool>),
    Strings(Vec<String>),
}

impl Gguf {
    /// Reads a file of any quantisation.
    ///
    /// # Errors
    /// [`Error::Read`] where the file cannot be read, [`Error::Model`] where it is no GGUF file or
    /// is cut short.
    pub fn read(path: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(Error::read(path))?;
        let bytes = file.metadata().map_err(Error::read(path))?.len();
        let context = Context::open(path)?;
        let metadata = context.metadata(path)?;
        // SAFETY: the context is valid for the whole function.
        let (count, base) = unsafe {
            (
                sys::gguf_get_n_tensors(context.0),
                sys::gguf_get_data_offset(context.0) as u64,
            )
        };
        let mut tensors = Vec::new();
        let mut raw = Vec::new();
        for id in 0..count {
            let (name, shape, kind, offset, size) = context.tensor(id);
            let elements = shape.iter().product::<usize>();
            if base + offset + size as u64 > bytes {
                return Err(model_error(
                    path,
                    format!("tensor {name} lies beyond the end of the file"),
                ));
            }
            raw.resize(size, 0);
            file.seek(SeekFrom::Start(base + offset))
                .and_then(|_| file.read_exact(&mut raw))
                .map_err(Error::read(path))?;
            let values = dequantise(&raw, kind, elements).ok_or_else(|| {
                model_error(path, format!("tensor {name} has a type ggml cannot decode"))
            })?;
            tensors.push(Tensor {
                name,
                shape,
                values,
            });
        }
        Ok(Self { metadata, tensors })
    }

    /// Reads the keys and values alone.
    ///
    /// # Errors
    /// As [`Gguf::read`].
    pub fn read_metadata(path: &Path) -> Result<Vec<(String, Value)>> {
        Context::open(path)?.metadata(path)
    }

    /// Writes to a temporary name beside `path`, then renames: a full disk or a kill leaves the old
    /// file as it was.
    ///
    /// # Errors
    /// [`Error::Write`] where the disk refuses, [`Error::Model`] for a name or text GGUF cannot
    /// hold.
    pub fn write(&self, path: &Path, precision: Precision) -> Result<()> {
        // 1. The header, from ggml.
        let context = Context::empty();
        for (key, value) in &self.metadata {
            context.set(path, key, value)?;
        }
        let kinds: Vec<_> = self.tensors.iter().map(|t| precision.of(t)).collect();
        context.add_tensors(path, &self.tensors, &kinds)?;
        // SAFETY: the buffer has the size ggml asks for, and both calls see the same content.
        let header = unsafe {
            let mut header = vec![0_u8; sys::gguf_get_meta_size(context.0)];
            sys::gguf_get_meta_data(context.0, header.as_mut_ptr().cast());
            header
        };
        // SAFETY: the context is valid.
        let alignment = unsafe { sys::gguf_get_alignment(context.0) };

        // 2. The tensors, one at a time: a quantised copy of all of them need not fit in memory.
        stream_whole(path, |file| {
            let mut file = BufWriter::new(file);
            file.write_all(&header)?;
            for (tensor, &kind) in self.tensors.iter().zip(&kinds) {
                let bytes = quantise(&tensor.values, kind, row_len(&tensor.shape));
                file.write_all(&bytes)?;
                let padding = bytes.len().next_multiple_of(alignment) - bytes.len();
                file.write_all(&vec![0; padding])?;
            }
            file.flush()
        })
    }

    /// Whether every weight is a number that this precision can hold.
    pub fn fits(&self, precision: Precision) -> bool {
        // Halves end at 65,504; blocks of 8 bits have a half as their scale.
        let largest = match precision {
            Precision::F32 => f32::MAX,
            Precision::F16 => 65_504.0,
            Precision::Q8_0 | Precision::Q4K => 65_504.0 * 127.0,
        };
        let mut values = self.tensors.iter().flat_map(|tensor| &tensor.values);
        values.all(|value| value.abs() <= largest)
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.metadata
            .iter()
            .find_map(|(k, value)| (k == key).then_some(value))
    }

    /// The tensor of a name.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }
}

impl Value {
    /// A whole number of any width, where it is one and not negative.
    pub fn as_usize(&self) -> Option<usize> {
        match *self {
            Self::U8(n) => Some(n.into()),
            Self::U16(n) => Some(n.into()),
            Self::U32(n) => usize::try_from(n).ok(),
            Self::U64(n) => usize::try_from(n).ok(),
            Self::I8(n) => usize::try_from(n).ok(),
            Self::I16(n) => usize::try_from(n).ok(),
            Self::I32(n) => usize::try_from(n).ok(),
            Self::I64(n) => usize::try_from(n).ok(),
            _ => None,
        }
    }

    /// A real number.
    pub fn as_f32(&self) -> Option<f32> {
        match *self {
            Self::F32(x) => Some(x),
            Self::F64(x) => Some(x as f32),
            _ => None,
        }
    }

    /// A text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }
}

impl Precision {
    /// The ggml type in which a tensor is stored.
    fn of(self, tensor: &Tensor) -> sys::ggml_type {
        let row = row_len(&tensor.shape);
        if tensor.shape.len() < 2 {
            return sys::GGML_TYPE_F32;
        }
        match self {
            Self::F32 => sys::GGML_TYPE_F32,
            Self::Q8_0 if row.is_multiple_of(32) => sys::GGML_TYPE_Q8_0,
            Self::Q4K if row.is_multiple_of(256) => sys::GGML_TYPE_Q4_K,
            Self::Q4K if row.is_multiple_of(32) => sys::GGML_TYPE_Q5_0,
            _ => sys::GGML_TYPE_F16,
        }
    }
}

/// Numbers in the last dimension; quantisation blocks lie within a row.
fn row_len(shape: &[usize]) -> usize {
    shape.last().copied().unwrap_or(1)
}

/// 16-bit floats, little-endian, as 32-bit ones.
pub(crate) fn from_f16(raw: &[u8]) -> Vec<f32> {
    dequantise(raw, sys::GGML_TYPE_F16, raw.len() / 2).expect("ggml decodes its own f16")
}

fn dequantise(raw: &[u8], kind: sys::ggml_type, elements: usize) -> Option<Vec<f32>> {
    let mut values = vec![0.0_f32; elements];
    if kind == sys::GGML_TYPE_F32 {
        for (value, bytes) in values.iter_mut().zip(raw.as_chunks::<4>().0) {
            *value = f32::from_le_bytes(*bytes);
        }
        return Some(values);
    }
    // SAFETY: ggml checked the type when it opened the file, the traits are a static table, and
    // `raw` holds the `gguf_get_tensor_size` bytes that belong to `elements` values.
    unsafe {
        let to_float = (*sys::ggml_get_type_traits(kind)).to_float?;
        to_float(raw.as_ptr().cast(), values.as_mut_ptr(), elements as i64);
    }
    Some(values)
}

fn quantise(values: &[f32], kind: sys::ggml_type, row: usize) -> Vec<u8> {
    let rows = values.len() / row.max(1);
    // SAFETY: `row` is a multiple of the type's block length (`Precision::of`), the buffer has the
    // size ggml gives for that many rows, and none of our types needs an importance matrix.
    unsafe {
        let mut bytes = vec![0_u8; sys::ggml_row_size(kind, row as i64) * rows];
        let (from, to) = (values.as_ptr(), bytes.as_mut_ptr().cast());
        sys::ggml_quantize_chunk(kind, from, to, 0, rows as i64, row as i64, ptr::null());
        bytes
    }
}

/// An owned `gguf_context`.
struct Context(*mut sys::gguf_context);

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `gguf_init_*`, is not null and is freed once.
        unsafe { sys::gguf_free(self.0) }
    }
}

impl Context {
    fn open(path: &Path) -> Result<Self> {
        // ggml says the same on standard error.
        let mut magic = [0; 4];
        let read = File::open(path).and_then(|mut file| file.read(&mut magic));
        read.map_err(Error::read(path))?;
        if &magic != b"GGUF" {
            return Err(model_error(path, "not a GGUF file".to_owned()));
        }
        let name = text(path, path.to_string_lossy().as_ref())?;
        let params = sys::gguf_init_params {
            no_alloc: true,
            ctx: ptr::null_mut(),
        };
        // SAFETY: a C string and a parameter struct that asks for no tensor data.
        let context = unsafe { sys::gguf_init_from_file(name.as_ptr(), params) };
        if context.is_null() {
            return Err(model_error(path, "a damaged GGUF file".to_owned()));
        }
        Ok(Self(context))
    }

    fn empty() -> Self {
        // SAFETY: allocates; C++ aborts rather than return null.
        Self(unsafe { sys::gguf_init_empty() })
    }

    fn metadata(&self, path: &Path) -> Result<Vec<(String, Value)>> {
        // SAFETY: the context is valid.
        let count = unsafe { sys::gguf_get_n_kv(self.0) };
        (0..count)
            .map(|id| {
                // SAFETY: `id` is in range and ggml keeps the string as long as the context.
                let key = unsafe { owned(sys::gguf_get_key(self.0, id)) };
                let value = self.value(id).ok_or_else(|| {
                    model_error(path, format!("metadata {key} has a type not supported"))
                })?;
                Ok((key, value))
            })
            .collect()
    }

    fn value(&self, id: i64) -> Option<Value> {
        let c = self.0;
        // SAFETY: `id` is in range, each getter is called for the type it belongs to (ggml aborts
        // otherwise), and arrays have `gguf_get_arr_n` elements of their type.
        unsafe {
            Some(match sys::gguf_get_kv_type(c, id) {
                sys::GGUF_TYPE_UINT8 => Value::U8(sys::gguf_get_val_u8(c, id)),
                sys::GGUF_TYPE_INT8 => Value::I8(sys::gguf_get_val_i8(c, id)),
                sys::GGUF_TYPE_UINT16 => Value::U16(sys::gguf_get_val_u16(c, id)),
                sys::GGUF_TYPE_INT16 => Value::I16(sys::gguf_get_val_i16(c, id)),
                sys::GGUF_TYPE_UINT32 => Value::U32(sys::gguf_get_val_u32(c, id)),
                sys::GGUF_TYPE_INT32 => Value::I32(sys::gguf_get_val_i32(c, id)),
                sys::GGUF_TYPE_UINT64 => Value::U64(sys::gguf_get_val_u64(c, id)),
                sys::GGUF_TYPE_INT64 => Value::I64(sys::gguf_get_val_i64(c, id)),
                sys::GGUF_TYPE_FLOAT32 => Value::F32(sys::gguf_get_val_f32(c, id)),
                sys::GGUF_TYPE_FLOAT64 => Value::F64(sys::gguf_get_val_f64(c, id)),
                sys::GGUF_TYPE_BOOL => Value::Bool(sys::gguf_get_val_bool(c, id)),
                sys::GGUF_TYPE_STRING => Value::String(owned(sys::gguf_get_val_str(c, id))),
                sys::GGUF_TYPE_ARRAY => {
                    let n = sys::gguf_get_arr_n(c, id);
                    match sys::gguf_get_arr_type(c, id) {
                        sys::GGUF_TYPE_UINT8 => Value::U8s(self.array(id)),
                        sys::GGUF_TYPE_UINT32 => Value::U32s(self.array(id)),
                        sys::GGUF_TYPE_INT32 => Value::I32s(self.array(id)),
                        sys::GGUF_TYPE_FLOAT32 => Value::F32s(self.array(id)),
                        sys::GGUF_TYPE_BOOL => {
                            let bytes: Vec<u8> = self.array(id);
                            Value::Bools(bytes.into_iter().map(|byte| byte != 0).collect())
                        }
                        sys::GGUF_TYPE_STRING => Value::Strings(
                            (0..n)
                                .map(|i| owned(sys::gguf_get_arr_str(c, id, i)))
                                .collect(),
                        ),
                        _ => return None,
                    }
                }
                _ => return None,
            })
        }
    }

    /// A copy of a numeric array.
    ///
    /// # Safety
    /// `T` must be the array's element type.
    unsafe fn array<T: Copy>(&self, id: i64) -> Vec<T> {
        // SAFETY: ggml keeps `n` elements of the caller's type behind the pointer, which is null
        // or dangling only where there are none.
        unsafe {
            match sys::gguf_get_arr_n(self.0, id) {
                0 => Vec::new(),
                n => slice::from_raw_parts(sys::gguf_get_arr_data(self.0, id).cast(), n).to_vec(),
            }
        }
    }

    /// Name, shape, type, offset in the data section and size in bytes.
    fn tensor(&self, id: i64) -> (String, Vec<usize>, sys::ggml_type, u64, usize) {
        // SAFETY: `id` is in range; `ne` points to ggml's four dimensions.
        unsafe {
            let ne = slice::from_raw_parts(sys::gguf_get_tensor_ne(self.0, id), 4);
            let dims = ne.iter().rposition(|&n| n != 1).map_or(1, |last| last + 1);
            (
                owned(sys::gguf_get_tensor_name(self.0, id)),
                ne[..dims].iter().rev().map(|&n| n as usize).collect(),
                sys::gguf_get_tensor_type(self.0, id),
                sys::gguf_get_tensor_offset(self.0, id) as u64,
                sys::gguf_get_tensor_size(self.0, id),
            )
        }
    }

    fn set(&self, path: &Path, key: &str, value: &Value) -> Result<()> {
        let key = text(path, key)?;
        let (c, k) = (self.0, key.as_ptr());
        let array = |kind, data: *const c_void, n| {
            // SAFETY: `data` points to `n` elements of `kind`; ggml copies them.
            unsafe { sys::gguf_set_arr_data(c, k, kind, data, n) }
        };
        // SAFETY: the context and key are valid, and ggml copies every value.
        unsafe {
            match value {
                Value::U8(n) => sys::gguf_set_val_u8(c, k, *n),
                Value::I8(n) => sys::gguf_set_val_i8(c, k, *n),
                Value::U16(n) => sys::gguf_set_val_u16(c, k, *n),
                Value::I16(n) => sys::gguf_set_val_i16(c, k, *n),
                Value::U32(n) => sys::gguf_set_val_u32(c, k, *n),
                Value::I32(n) => sys::gguf_set_val_i32(c, k, *n),
                Value::U64(n) => sys::gguf_set_val_u64(c, k, *n),
                Value::I64(n) => sys::gguf_set_val_i64(c, k, *n),
                Value::F32(x) => sys::gguf_set_val_f32(c, k, *x),
                Value::F64(x) => sys::gguf_set_val_f64(c, k, *x),
                Value::Bool(b) => sys::gguf_set_val_bool(c, k, *b),
                Value::String(s) => sys::gguf_set_val_str(c, k, text(path, s)?.as_ptr()),
                Value::U8s(v) => array(sys::GGUF_TYPE_UINT8, v.as_ptr().cast(), v.len()),
                Value::U32s(v) => array(sys::GGUF_TYPE_UINT32, v.as_ptr().cast(), v.len()),
                Value::I32s(v) => array(sys::GGUF_TYPE_INT32, v.as_ptr().cast(), v.len()),
                Value::F32s(v) => array(sys::GGUF_TYPE_FLOAT32, v.as_ptr().cast(), v.len()),
                Value::Bools(v) => array(sys::GGUF_TYPE_BOOL, v.as_ptr().cast(), v.len()),
                Value::Strings(v) => {
                    let owned = v
                        .iter()
                        .map(|s| text(path, s))
                        .collect::<Result<Vec<_>>>()?;
                    let mut pointers: Vec<*const c_char> =
                        owned.iter().map(|s| s.as_ptr()).collect();
                    sys::gguf_set_arr_str(c, k, pointers.as_mut_ptr(), pointers.len());
                }
            }
        }
        Ok(())
    }

    /// Enters names, shapes and types; the values are written apart.
    fn add_tensors(&self, path: &Path, tensors: &[Tensor], kinds: &[sys::ggml_type]) -> Result<()> {
        for (i, tensor) in tensors.iter().enumerate() {
            let reason = if tensor.name.len() > 63 {
                "has a name longer than 63 bytes"
            } else if tensor.shape.is_empty() || tensor.shape.len() > 4 {
                "must have 1 to 4 dimensions"
            } else if tensor.shape.iter().product::<usize>() != tensor.values.len() {
                "has a shape that does not match its values"
            } else if tensors[..i].iter().any(|other| other.name == tensor.name) {
                "appears twice"
            } else {
                continue;
            };
            return Err(model_error(
                path,
                format!("tensor {} {reason}", tensor.name),
            ));
        }
        // SAFETY: the scratch context has room for every tensor's header and, with `no_alloc`,
        // for nothing else; gguf copies each header, so the scratch may be freed at the end.
        unsafe {
            let scratch = sys::ggml_init(sys::ggml_init_params {
                mem_size: sys::ggml_tensor_overhead() * (tensors.len() + 1),
                mem_buffer: ptr::null_mut(),
                no_alloc: true,
            });
            for (tensor, &kind) in tensors.iter().zip(kinds) {
                let ne: Vec<i64> = tensor.shape.iter().rev().map(|&n| n as i64).collect();
                let header = sys::ggml_new_tensor(scratch, kind, ne.len() as i32, ne.as_ptr());
                // A name with a NUL byte would be cut; ours are checked nowhere else.
                match text(path, &tensor.name) {
                    Ok(name) => sys::ggml_set_name(header, name.as_ptr()),
                    Err(error) => {
                        sys::ggml_free(scratch);
                        return Err(error);
                    }
                };
                sys::gguf_add_tensor(self.0, header);
            }
            sys::ggml_free(scratch);
        }
        Ok(())
    }
}

/// # Safety
/// `pointer` must be a valid C string.
unsafe fn owned(pointer: *const c_char) -> String {
    // SAFETY: by the caller's promise.
    unsafe { CStr::from_ptr(pointer) }
        .to_string_lossy()
        .into_owned()
}

fn text(path: &Path, s: &str) -> Result<CString> {
    CString::new(s)
        .map_err(|_| model_error(path, format!("{s:?} holds a NUL byte, which GGUF cannot")))
}

fn model_error(path: &Path, reason: String) -> Error {
    Error::Model {
        model: path.display().to_string(),
        reason,
    }
}
