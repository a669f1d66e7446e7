//! `.npy` files as tensors, and back.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use npyz::{NpyFile, Order, WriterBuilder};

use crate::{Failure, whole_file};

/// Reads an array of f32 or f64, in either memory order.
pub(crate) fn read(path: &Path) -> Result<Tensor, Failure> {
    load(path).map_err(|what| Failure::Message(format!("{}: {what}", path.display())))
}

fn load(path: &Path) -> Result<Tensor, String> {
    let open = || -> Result<NpyFile<BufReader<File>>, String> {
        let file = File::open(path).map_err(|e| e.to_string())?;
        NpyFile::new(BufReader::new(file)).map_err(|e| format!("not a whole .npy file: {e}"))
    };
    let npy = open()?;
    let mut stored = npy.shape().iter().map(|&n| usize::try_from(n)).collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
    let column_major = npy.order() == Order::Fortran;
    if column_major {
        stored.reverse();
    }
    let descr = npy.dtype().descr();
    // A failed attempt consumes the file, so the second precision opens it anew.
    let tensor = match (npy.try_data::<f32>(), open()?.try_data::<f64>()) {
        (Ok(values), _) => Tensor::from_vec(values.collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?, stored, &Device::Cpu),
        (_, Ok(values)) => Tensor::from_vec(values.collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?, stored, &Device::Cpu),
        _ => return Err(format!("holds {descr}, but f32 or f64 is needed: save array.astype(\"float32\")")),
    };
    let tensor = tensor.map_err(|e| e.to_string())?;
    if !column_major {
        return Ok(tensor);
    }
    let axes: Vec<usize> = (0..tensor.rank()).rev().collect();
    tensor.permute(axes).and_then(|t| t.contiguous()).map_err(|e| e.to_string())
}

/// Writes an array of f32 or f64.
pub(crate) fn write(path: &Path, tensor: &Tensor) -> Result<(), Failure> {
    let shape: Vec<u64> = tensor.dims().iter().map(|&n| n as u64).collect();
    let flat = tensor.flatten_all().map_err(Failure::message)?;
    match tensor.dtype() {
        DType::F64 => {
            let values = flat.to_vec1::<f64>().map_err(Failure::message)?;
            whole_file::write(path, |file| encode(file, &shape, values))
        }
        _ => {
            let values = flat.to_dtype(DType::F32).and_then(|flat| flat.to_vec1::<f32>()).map_err(Failure::message)?;
            whole_file::write(path, |file| encode(file, &shape, values))
        }
    }
}

fn encode<T: npyz::AutoSerialize>(file: &mut File, shape: &[u64], values: Vec<T>) -> std::io::Result<()> {
    let mut buffered = BufWriter::new(file);
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(shape).writer(&mut buffered).begin_nd()?;
    writer.extend(values)?;
    writer.finish()?;
    buffered.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("with a space.npy");
        for dtype in [DType::F32, DType::F64] {
            let tensor = Tensor::arange(0f64, 24.0, &Device::Cpu).unwrap().reshape((2, 3, 4)).unwrap().to_dtype(dtype).unwrap();
            write(&path, &tensor).unwrap();
            let again = read(&path).unwrap();
            assert_eq!((again.dtype(), again.dims()), (dtype, tensor.dims()));
            assert_eq!(again.to_dtype(DType::F64).unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap(), 276.0);
        }
    }

    #[test]
    fn an_empty_array_survives() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty.npy");
        write(&path, &Tensor::zeros((0, 3), DType::F32, &Device::Cpu).unwrap()).unwrap();
        assert_eq!(read(&path).unwrap().dims(), [0, 3]);
    }

    #[test]
    fn a_file_of_another_kind_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text.npy");
        std::fs::write(&path, "not numpy").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("not a whole .npy file"));
    }
}
