//! Data beside the model, in files that the model names.
//!
//! A model is not trusted, so a path must be a plain relative path, and the
//! file that it leads to must lie in the model's folder once all links are
//! followed. It must be a regular file: a device or a pipe could block or never
//! end. Offset and length must lie in the file, and the length is that of the
//! tensor, which was checked against the limits.

use super::error::OnnxTensorError;
use rten_onnx::onnx::TensorProto;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

/// The longest path.
const PATH_MAX: usize = 4096;

/// Where a tensor's data lies.
struct Place {
    location: String,
    offset: u64,
    length: Option<u64>,
}

impl Place {
    fn of(tensor: &TensorProto) -> Result<Place, OnnxTensorError> {
        let mut place = Place { location: String::new(), offset: 0, length: None };
        for entry in &tensor.external_data {
            let value = entry.value.clone().unwrap_or_default();
            let number = || {
                let path = place.location.clone();
                let why = format!("expected a number of bytes, got {value:?}");
                value.parse().map_err(|_| OnnxTensorError::Data { path, why })
            };
            match entry.key.as_deref() {
                Some("location") => place.location = value,
                Some("offset") => place.offset = number()?,
                Some("length") => place.length = Some(number()?),
                // Checksums and comments.
                _ => {}
            }
        }
        Ok(place)
    }
}

/// Reads the `bytes` bytes of a tensor.
pub(super) fn read(
    tensor: &TensorProto,
    folder: Option<&Path>,
    bytes: usize,
) -> Result<Vec<u8>, OnnxTensorError> {
    let Place { location, offset, length } = Place::of(tensor)?;
    let folder = folder.ok_or_else(|| OnnxTensorError::NoFolder(location.clone()))?;
    let path = inside(folder, &location)?;
    let wrong = |why: String| OnnxTensorError::Data { path: location.clone(), why };
    let failed = |error: std::io::Error| wrong(error.to_string());
    let mut file = File::open(&path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    let needed = bytes as u64;
    if length.is_some_and(|length| length != needed) {
        let dims = tensor.dims.clone();
        let bytes = length.unwrap_or(0).try_into().unwrap_or(usize::MAX);
        return Err(OnnxTensorError::Length { dims, bytes });
    }
    let fits = offset.checked_add(needed).is_some_and(|end| end <= about.len());
    if !fits {
        let size = about.len();
        return Err(wrong(format!(
            "expected {needed} bytes at byte {offset}, got a file of {size} bytes"
        )));
    }
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let mut data = vec![0; bytes];
    file.read_exact(&mut data).map_err(failed)?;
    Ok(data)
}

/// The file of a location, which lies in the folder.
fn inside(folder: &Path, location: &str) -> Result<PathBuf, OnnxTensorError> {
    let refused = || OnnxTensorError::Path(location.chars().take(200).collect());
    let relative = Path::new(location);
    let plain =
        relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    // A backslash separates folders on some systems.
    let plain = plain && !location.contains(['\\', '\0']) && location.len() <= PATH_MAX;
    if location.is_empty() || !plain {
        return Err(refused());
    }
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let failed = |error: std::io::Error| OnnxTensorError::Data {
        path: location.to_owned(),
        why: error.to_string(),
    };
    let path = folder.join(relative).canonicalize().map_err(failed)?;
    let folder = folder.canonicalize().map_err(failed)?;
    if !path.starts_with(&folder) {
        return Err(refused());
    }
    // Opening a pipe would wait for a writer, so the type is checked before.
    match path.metadata().map_err(failed)?.is_file() {
        true => Ok(path),
        false => Err(OnnxTensorError::Data {
            path: location.to_owned(),
            why: "expected a regular file, got another kind".to_owned(),
        }),
    }
}
