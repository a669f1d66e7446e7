//! `stn reference`: the pages of the manual that are made from the code.

use stn_core::Registry;

use crate::Failure;
use crate::arguments::{Page, Reference};
use crate::terminal::answer;

pub(crate) fn run(arguments: &Reference, registry: &Registry) -> Result<(), Failure> {
    let text = match arguments.page {
        Page::Experiment => stn_lab::reference(registry),
        Page::Results => stn_lab::results_reference(registry),
        Page::Schema => stn_lab::json_schema(),
    };
    answer(text.trim_end());
    Ok(())
}
