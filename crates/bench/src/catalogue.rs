//! Every work there is, by name.

use candle_core::Device;
use stn_core::Registry;
use stn_core::parameters::nearest;

use crate::limit::{CardCopy, Gemm, MemoryCopy};
use crate::report::{Reporting, Sweep};
use crate::sample::{SampleWork, Warp};
use crate::step::{NETWORKS, TimedNetwork, Training};
use crate::trials::{Order, Trials};
use crate::{Amount, Error, Job, Result};

/// The sources that are sampled, N x C x H x W: digits, photographs, feature maps, large photographs.
const SHAPES: [[usize; 4]; 4] = [[256, 1, 28, 28], [64, 3, 64, 64], [64, 32, 32, 32], [64, 3, 128, 128]];

/// Sources that keep a graphics card busy: feature maps, photographs.
const LARGE_SHAPES: [[usize; 4]; 2] = [[64, 64, 128, 128], [256, 3, 224, 224]];

/// Something that can be timed.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    name: String,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Step(&'static TimedNetwork),
    Sample(SampleWork),
    Trials(Order),
    Report(Sweep),
    Gemm,
    MemoryCopy,
}

impl Work {
    /// Its name, `sample.bilinear.256x1x28x28`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How much arithmetic or memory traffic one run is at least, where that is known: what its time is to be held against the limits by.
    pub fn amount(&self, registry: &Registry) -> Option<Amount> {
        match &self.kind {
            Kind::Step(network) => network.amount(registry),
            Kind::Sample(work) => Some(work.amount()),
            Kind::Trials(_) | Kind::Report(_) => None,
            Kind::Gemm => Some(Gemm::AMOUNT),
            Kind::MemoryCopy => Some(MemoryCopy::AMOUNT),
        }
    }

    pub(crate) fn build<'a>(&self, registry: &'a Registry, device: &Device) -> Result<Box<dyn Job + 'a>> {
        if matches!(self.kind, Kind::Trials(_) | Kind::Report(_)) {
            on_processor(&self.name, device.is_cpu())?;
        }
        Ok(match &self.kind {
            Kind::Step(network) => Box::new(Training::new(&self.name, network, registry, device)?),
            Kind::Sample(work) => Box::new(work.build(&self.name, registry, device)?),
            Kind::Trials(order) => Box::new(Trials::new(*order, registry)?),
            Kind::Report(sweep) => Box::new(Reporting::new(*sweep, registry)?),
            Kind::Gemm => Box::new(Gemm::new(device)?),
            Kind::MemoryCopy if device.is_cpu() => Box::new(MemoryCopy::new()),
            Kind::MemoryCopy => Box::new(CardCopy::new(device)?),
        })
    }
}

/// Refuses a work that only the processor does on another device.
pub(crate) fn on_processor(name: &str, is_cpu: bool) -> Result<()> {
    if is_cpu { Ok(()) } else { Err(Error::ProcessorOnly(name.into())) }
}

/// Every work, in the order in which they are listed.
pub fn works() -> Vec<Work> {
    let steps = NETWORKS.iter().map(|network| Work { name: network.name.into(), kind: Kind::Step(network) });
    let limits = [("limit.gemm", Kind::Gemm), ("limit.memory", Kind::MemoryCopy)].map(|(name, kind)| Work { name: name.into(), kind });
    let trials = [Order::OneAfterAnother, Order::SideBySide].map(|order| Work { name: order.name().into(), kind: Kind::Trials(order) });
    let reports = [Sweep::Seeds, Sweep::Draws].map(|sweep| Work { name: sweep.name().into(), kind: Kind::Report(sweep) });
    steps.chain(samples()).chain(trials).chain(reports).chain(limits).collect()
}

fn samples() -> impl Iterator<Item = Work> {
    let plain = ["bilinear", "bicubic", "integer"].map(|kernel| (kernel, Warp::Affine, true));
    // The integer kernel passes no gradient to theta.
    let to_theta = ["bilinear", "bicubic"].map(|kernel| (kernel, Warp::Affine, false));
    let other_warps = [Warp::Tps, Warp::Projective].map(|warp| ("bilinear", warp, true));
    let large = [("bilinear", Warp::Affine), ("bicubic", Warp::Affine), ("bilinear", Warp::Tps)];
    let large = large.into_iter().flat_map(|(kernel, warp)| LARGE_SHAPES.map(|shape| SampleWork { kernel, shape, warp, to_input: true }));
    let small = plain.into_iter().chain(to_theta).chain(other_warps);
    let small = small.flat_map(|(kernel, warp, to_input)| SHAPES.map(|shape| SampleWork { kernel, shape, warp, to_input }));
    let named = |prefix| move |work: SampleWork| Work { name: format!("{prefix}{}", work.name()), kind: Kind::Sample(work) };
    small.map(named("")).chain(large.map(named("large.")))
}

/// The work of this name, or else every work whose name begins with it: `step`, `sample.bilinear`.
///
/// # Errors
///
/// [`Error::UnknownWork`] where there is none, with the nearest name.
pub fn select(name: &str) -> Result<Vec<Work>> {
    let all = works();
    if let Some(work) = all.iter().find(|work| work.name == name) {
        return Ok(vec![work.clone()]);
    }
    let found: Vec<_> = all.iter().filter(|work| !name.is_empty() && work.name.starts_with(name)).cloned().collect();
    if found.is_empty() {
        let nearest = nearest(name, all.iter().map(Work::name)).map(Into::into);
        return Err(Error::UnknownWork { name: name.into(), nearest });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(name: &str) -> Vec<String> {
        select(name).unwrap().into_iter().map(|work| work.name).collect()
    }

    #[test]
    fn every_name_is_there_once() {
        let mut names: Vec<_> = works().into_iter().map(|work| work.name).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
        for name in ["step.tutorial", "sample.bilinear.256x1x28x28", "sample.bicubic.64x3x128x128.to_theta", "sample.bilinear.64x32x32x32.tps", "limit.gemm"] {
            assert!(names.iter().any(|n| n == name), "{name}");
        }
    }

    #[test]
    fn a_prefix_means_every_work_that_begins_so() {
        assert_eq!(names("step").len(), 5);
        assert_eq!(names("large").len(), 9);
        assert_eq!(names("step.svhn"), ["step.svhn_multi", "step.svhn_cnn"]);
    }

    #[test]
    fn a_whole_name_means_that_work_alone() {
        assert_eq!(names("sample.bilinear.64x3x64x64"), ["sample.bilinear.64x3x64x64"]);
    }

    #[test]
    fn an_unknown_name_names_the_nearest() {
        let error = select("step.tutoral").unwrap_err().to_string();
        assert!(error.contains("Did you mean `step.tutorial`?"), "{error}");
        assert!(select("").is_err());
    }
}
