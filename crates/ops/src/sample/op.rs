//! The sampler as candle operations.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, bail};
use stn_core::TargetGrid;

use super::Sampler;

pub(super) struct SampleStructured {
    pub sampler: Sampler,
    pub target: TargetGrid,
}

pub(super) struct SampleGrid {
    pub sampler: Sampler,
}

pub(super) struct StructuredGrid {
    pub target: TargetGrid,
}

impl CustomOp3 for SampleStructured {
    fn name(&self) -> &'static str {
        "sample_structured"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        bail!("sample_structured: not there yet: {:?} {:?}", self.sampler, self.target)
    }
}

impl CustomOp2 for SampleGrid {
    fn name(&self) -> &'static str {
        "sample_grid"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        bail!("sample_grid: not there yet: {:?}", self.sampler)
    }
}

impl CustomOp2 for StructuredGrid {
    fn name(&self) -> &'static str {
        "structured_grid"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        bail!("structured_grid: not there yet: {:?}", self.target)
    }
}
