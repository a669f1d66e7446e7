//! The devices that trials run on, by name.

use std::fmt;
use std::str::FromStr;

use candle_core::Device;

use crate::{Error, Result};

/// What a program says that was built without the feature `cuda`.
const WITHOUT_CUDA: &str = "this program was built without CUDA. Build one with it by `just build-cuda`, after `just setup-cuda` where no CUDA toolkit is installed; or use --device cpu";

/// A device by its name: `cpu`, or `cuda:N` for the graphics card of that number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum DeviceName {
    /// The processor.
    #[default]
    Cpu,
    /// A graphics card, counted from 0.
    Cuda(usize),
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

impl FromStr for DeviceName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = text.strip_prefix("cuda:").and_then(|number| number.parse().ok());
        match (text, number) {
            ("cpu", _) => Ok(Self::Cpu),
            (_, Some(number)) => Ok(Self::Cuda(number)),
            _ => Err(Error::Other("write cpu, or cuda: and a number such as cuda:0; several are separated by commas".into())),
        }
    }
}

impl DeviceName {
    /// The device itself; of a graphics card each time another way to it, with a stream of work and libraries' memory of its own.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] where this machine or this program has no such device.
    pub fn open(self) -> Result<Device> {
        let missing = |reason: String| Error::Device { device: self, reason };
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(_) if !candle_core::utils::cuda_is_available() => Err(missing(WITHOUT_CUDA.into())),
            Self::Cuda(number) => stn_ops::graphics_card(number).map_err(|error| {
                // The first line: a backtrace may follow, which says nothing of the machine.
                let words = error.to_string();
                missing(format!("{}; does nvidia-smi name a card of that number?", words.lines().next().unwrap_or_default()))
            }),
        }
    }
}

/// Opens each device once.
///
/// # Errors
///
/// As [`DeviceName::open`], and where there is none or one is named twice.
pub(crate) fn open(names: &[DeviceName]) -> Result<Vec<(DeviceName, Device)>> {
    if names.is_empty() {
        return Err(Error::Other("a run needs a device: cpu, for one".into()));
    }
    if let Some(twice) = names.iter().enumerate().find_map(|(place, name)| names[..place].contains(name).then_some(name)) {
        return Err(Error::Other(format!("{twice} is named twice; --jobs says how many trials run at once, and they share the devices")));
    }
    names.iter().map(|name| Ok((*name, name.open()?))).collect()
}

/// A device for each of some jobs, which take the opened ones in turn: each but the first to take a device opens it anew, so that no two share a stream of work.
///
/// # Errors
///
/// As `open`.
pub(crate) fn for_jobs(opened: Vec<(DeviceName, Device)>, jobs: usize, open: impl Fn(DeviceName) -> Result<Device>) -> Result<Vec<(DeviceName, Device)>> {
    let names: Vec<DeviceName> = opened.iter().map(|(name, _)| *name).collect();
    let mut devices = opened;
    devices.truncate(jobs);
    for name in names.iter().cycle().skip(names.len()).take(jobs.saturating_sub(names.len())) {
        devices.push((*name, open(*name)?));
    }
    Ok(devices)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for (name, text) in [(DeviceName::Cpu, "cpu"), (DeviceName::Cuda(3), "cuda:3")] {
            assert_eq!(name.to_string(), text);
            assert_eq!(text.parse::<DeviceName>().unwrap(), name);
        }
    }

    #[test]
    fn a_name_that_is_none_says_what_to_write() {
        for text in ["gpu", "cuda", "cuda:", "cuda:-1", "CPU", ""] {
            assert!(text.parse::<DeviceName>().unwrap_err().to_string().contains("such as cuda:0"), "{text}");
        }
    }

    #[test]
    fn a_device_twice_is_refused() {
        assert!(open(&[DeviceName::Cpu, DeviceName::Cpu]).unwrap_err().to_string().contains("cpu is named twice"));
        assert!(open(&[]).is_err());
        assert_eq!(open(&[DeviceName::Cpu]).unwrap().len(), 1);
    }

    #[test]
    fn a_device_that_this_program_has_no_code_for_is_an_error_that_says_so() {
        if !candle_core::utils::cuda_is_available() {
            let words = DeviceName::Cuda(0).open().unwrap_err().to_string();
            assert!(["cuda:0", "just setup-cuda", "just build-cuda", "--device cpu"].iter().all(|part| words.contains(part)), "{words}");
        }
    }
}
