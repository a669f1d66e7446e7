//! Images from `.npy` and `.npz` files, and arrays by name into an `.npz`.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use npyz::npz::{NpzArchive, NpzWriter};
use npyz::{NpyFile, Order, WriterBuilder};

use crate::{Failure, whole_file};

/// The names under which images are looked for in an `.npz`, the first that is there.
const NAMES: [&str; 4] = ["images", "x_test", "test_images", "x"];

/// Reads images as f32: an array of f32 or f64 as it is, one of bytes divided by 255.
pub(crate) fn read(path: &Path) -> Result<Tensor, Failure> {
    let archive = path.extension().is_some_and(|ending| ending == "npz");
    let images = if archive { from_archive(path) } else { from_file(path) };
    images.map_err(|what| Failure::Message(format!("{}: {what}", path.display())))
}

fn from_file(path: &Path) -> Result<Tensor, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    tensor(NpyFile::new(BufReader::new(file)).map_err(|error| format!("not a whole .npy file: {error}"))?)
}

fn from_archive(path: &Path) -> Result<Tensor, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let broken = |error: std::io::Error| format!("not a whole .npz file: {error}");
    let mut archive = NpzArchive::new(BufReader::new(file)).map_err(broken)?;
    let known: BTreeSet<String> = archive.array_names().map(str::to_owned).collect();
    let named = NAMES.into_iter().find(|name| known.contains(*name));
    let missing = || format!("holds no array named {}; it holds: {}", NAMES.join(" or "), known.iter().map(String::as_str).collect::<Vec<_>>().join(", "));
    let name = named.or_else(|| known.first().filter(|_| known.len() == 1).map(String::as_str)).ok_or_else(missing)?;
    tensor(archive.by_name(name).map_err(broken)?.ok_or_else(missing)?)
}

fn tensor(npy: NpyFile<impl Read>) -> Result<Tensor, String> {
    if npy.order() == Order::Fortran && npy.shape().len() > 1 {
        return Err("the array is in Fortran order; save it as numpy.ascontiguousarray(images)".into());
    }
    let shape = npy.shape().iter().map(|&side| usize::try_from(side)).collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    let descr = npy.dtype().descr();
    let broken = |error: std::io::Error| format!("the array is cut off: {error}");
    let numbers: Vec<f32> = match npy.try_data::<f32>() {
        Ok(floats) => floats.collect::<Result<_, _>>().map_err(broken)?,
        Err(npy) => match npy.try_data::<u8>() {
            Ok(bytes) => bytes.map(|byte| byte.map(|byte| f32::from(byte) / 255.0)).collect::<Result<_, _>>().map_err(broken)?,
            Err(npy) => match npy.try_data::<f64>() {
                Ok(floats) => floats.map(|float| float.map(|float| float as f32)).collect::<Result<_, _>>().map_err(broken)?,
                Err(_) => return Err(format!("holds {descr}; images are uint8, float32 or float64")),
            },
        },
    };
    Tensor::from_vec(numbers, shape, &Device::Cpu).map_err(|error| error.to_string())
}

/// Writes arrays by name, f64 and u32 as they are and others as f32. The same arrays give the same bytes.
pub(crate) fn write(path: &Path, arrays: &[(String, Tensor)]) -> Result<(), Failure> {
    whole_file::write(path, |file| {
        let mut archive = NpzWriter::new(BufWriter::new(file));
        for (name, tensor) in arrays {
            let shape: Vec<u64> = tensor.dims().iter().map(|&side| side as u64).collect();
            let flat = tensor.flatten_all().map_err(std::io::Error::other)?;
            let wrong = std::io::Error::other;
            match tensor.dtype() {
                DType::F64 => put(&mut archive, name, &shape, flat.to_vec1::<f64>().map_err(wrong)?)?,
                DType::U32 => put(&mut archive, name, &shape, flat.to_vec1::<u32>().map_err(wrong)?)?,
                _ => put(&mut archive, name, &shape, flat.to_dtype(DType::F32).and_then(|flat| flat.to_vec1::<f32>()).map_err(wrong)?)?,
            }
        }
        archive.zip_writer().finish().map_err(std::io::Error::other)?.flush()
    })
}

fn put<T: npyz::AutoSerialize>(archive: &mut NpzWriter<BufWriter<&mut File>>, name: &str, shape: &[u64], values: Vec<T>) -> std::io::Result<()> {
    let mut writer = archive.array(name, Default::default())?.default_dtype().shape(shape).begin_nd()?;
    writer.extend(values)?;
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_that_are_written_are_found_again_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let images = Tensor::arange(0f32, 24.0, &Device::Cpu).unwrap().reshape((2, 3, 4)).unwrap();
        write(&path, &[("labels".into(), Tensor::new(&[1u32, 2], &Device::Cpu).unwrap()), ("images".into(), images.clone())]).unwrap();
        let again = read(&path).unwrap();
        assert_eq!((again.dims(), again.flatten_all().unwrap().to_vec1::<f32>().unwrap()), (images.dims(), images.flatten_all().unwrap().to_vec1().unwrap()));
        let first = std::fs::read(&path).unwrap();
        write(&path, &[("labels".into(), Tensor::new(&[1u32, 2], &Device::Cpu).unwrap()), ("images".into(), images)]).unwrap();
        assert_eq!(first, std::fs::read(&path).unwrap());
    }

    #[test]
    fn bytes_are_read_as_numbers_from_0_to_1() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let mut file = File::create(&path).unwrap();
        let mut writer = npyz::WriteOptions::new().default_dtype().shape(&[1, 1, 2]).writer(&mut file).begin_nd().unwrap();
        writer.extend([0u8, 255]).unwrap();
        writer.finish().unwrap();
        assert_eq!(read(&path).unwrap().to_vec3::<f32>().unwrap(), [[[0.0, 1.0]]]);
    }

    #[test]
    fn an_archive_without_images_says_what_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let one = Tensor::new(&[1f32], &Device::Cpu).unwrap();
        write(&path, &[("a".into(), one.clone()), ("b".into(), one)]).unwrap();
        assert!(read(&path).unwrap_err().to_string().ends_with("holds no array named images or x_test or test_images or x; it holds: a, b"));
    }
}
