//! Where a verifier is trained: the CPU, or a GPU that the binary was built for.

#[cfg(any(feature = "vulkan", feature = "metal"))]
use burn::tensor::DeviceKind;

use super::Device;
use crate::{Error, Result};

/// The device of this name: `cpu`, or `cuda`, `vulkan` or `metal` with `:INDEX` or without.
///
/// # Errors
/// [`Error::Unknown`] for another name, [`Error::Options`] for a device this build has not.
pub fn device(name: &str) -> Result<Device> {
    let unknown = || Error::Unknown {
        what: "device",
        name: name.to_owned(),
        known: "cpu, cuda, vulkan, metal, the last three with :INDEX or without".to_owned(),
    };
    let (kind, index) = match name.split_once(':') {
        Some((kind, index)) => (kind, Some(index.parse::<usize>().map_err(|_| unknown())?)),
        None => (name, None),
    };
    match kind {
        "cpu" if index.is_none() => Ok(Device::flex()),
        "cuda" => cuda(index),
        "vulkan" => vulkan(index),
        "metal" => metal(index),
        _ => Err(unknown()),
    }
}

#[cfg(feature = "cuda")]
fn cuda(index: Option<usize>) -> Result<Device> {
    Ok(Device::cuda(index.unwrap_or(0)))
}

#[cfg(feature = "vulkan")]
fn vulkan(index: Option<usize>) -> Result<Device> {
    Ok(Device::vulkan(adapter(index)))
}

#[cfg(feature = "metal")]
fn metal(index: Option<usize>) -> Result<Device> {
    Ok(Device::metal(adapter(index)))
}

#[cfg(any(feature = "vulkan", feature = "metal"))]
fn adapter(index: Option<usize>) -> DeviceKind {
    index.map_or(DeviceKind::DefaultDevice, DeviceKind::DiscreteGpu)
}

#[cfg(not(feature = "cuda"))]
fn cuda(_: Option<usize>) -> Result<Device> {
    Err(missing("cuda"))
}

#[cfg(not(feature = "vulkan"))]
fn vulkan(_: Option<usize>) -> Result<Device> {
    Err(missing("vulkan"))
}

#[cfg(not(feature = "metal"))]
fn metal(_: Option<usize>) -> Result<Device> {
    Err(missing("metal"))
}

#[cfg(not(all(feature = "cuda", feature = "vulkan", feature = "metal")))]
fn missing(feature: &str) -> Error {
    Error::Options(format!(
        "this rerank was built without {feature}: build it with `cargo build --release --features {feature}`, or leave --device cpu"
    ))
}
