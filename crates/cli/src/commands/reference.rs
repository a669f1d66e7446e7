//! `stn reference`: the manual's reference page, made from the code.

use stn_core::Registry;

use crate::Failure;
use crate::arguments::Reference;

pub(crate) fn run(arguments: &Reference, registry: &Registry) -> Result<(), Failure> {
    let text = if arguments.json_schema { stn_lab::json_schema() } else { stn_lab::reference(registry) };
    anstream::print!("{text}");
    Ok(())
}
