//! The text of kernels.

use std::borrow::Cow;
use std::fmt::Write;
use std::hash::{Hash, Hasher};

use candle_core::{DType, Result, bail};

/// The text of some kernels: a type of numbers, constants, what a plugin adds, and the parts of the operation.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    name: &'static str,
    /// What images are stored in; bf16 and f16 are computed with in f32.
    stored: DType,
    constants: Vec<(&'static str, usize)>,
    plugin: Cow<'static, str>,
    parts: &'static [&'static str],
    /// The kernels that can be launched: what is not named here is not found by the emulation.
    #[cfg_attr(not(test), expect(dead_code, reason = "a card finds kernels by their names in the text"))]
    pub kernels: &'static [&'static str],
}

impl Program {
    /// A program that computes in f32 or f64. Its parts follow from its name.
    ///
    /// # Errors
    ///
    /// Where the type is another.
    pub(crate) fn new(name: &'static str, dtype: DType, parts: &'static [&'static str], kernels: &'static [&'static str]) -> Result<Self> {
        match dtype {
            DType::F32 | DType::F64 => Self::of_pixels(name, dtype, parts, kernels),
            other => bail!("{name}: a graphics card computes in f32 or f64 here, not in {other:?}; convert the tensors first"),
        }
    }

    /// A program whose text takes images, as `PIXEL`, in bf16 and f16 as well: it computes with them in f32.
    ///
    /// # Errors
    ///
    /// Where the type is yet another.
    pub(crate) fn of_pixels(name: &'static str, stored: DType, parts: &'static [&'static str], kernels: &'static [&'static str]) -> Result<Self> {
        match stored {
            DType::F32 | DType::F64 | DType::BF16 | DType::F16 => Ok(Self { name, stored, constants: Vec::new(), plugin: Cow::Borrowed(""), parts, kernels }),
            other => bail!("{name}: a graphics card takes images in f32, f64, bf16 or f16, not in {other:?}; convert the tensors first"),
        }
    }

    /// The program with some constants more.
    pub(crate) fn with_constants(mut self, constants: impl IntoIterator<Item = (&'static str, usize)>) -> Self {
        self.constants.extend(constants);
        self
    }

    /// The program for launches that go through so many numbers.
    pub(crate) fn for_count(self, count: usize) -> Self {
        if count < 1 << 31 { self } else { self.with_constants([("LARGE", 1)]) }
    }

    /// The program with text before its parts.
    pub(crate) fn with_plugin(mut self, text: String) -> Self {
        self.plugin = Cow::Owned(text);
        self
    }

    /// The type it computes in.
    pub(crate) fn dtype(&self) -> DType {
        if self.stored == DType::F64 { DType::F64 } else { DType::F32 }
    }

    /// The whole text.
    pub(crate) fn text(&self) -> String {
        let (real, single, stored) = match self.stored {
            DType::F64 => ("double", 0, 0),
            DType::BF16 => ("float", 1, 1),
            DType::F16 => ("float", 1, 2),
            _ => ("float", 1, 0),
        };
        let mut text = format!("#define REAL {real}\n#define SINGLE {single}\n#define STORED {stored}\n");
        for (name, value) in &self.constants {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "#define {name} {value}");
        }
        for part in [include_str!("device.cuh"), include_str!("pixel.cuh"), &self.plugin].iter().chain(self.parts) {
            text.push_str(part);
            text.push('\n');
        }
        text
    }

    fn key(&self) -> (&str, DType, &[(&str, usize)], &str) {
        (self.name, self.stored, &self.constants, &self.plugin)
    }
}

impl PartialEq for Program {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Program {}

impl Hash for Program {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_differ_by_name_type_constants_and_plugin() {
        let program = Program::new("a", DType::F32, &["part"], &[]).unwrap();
        assert_eq!(program, program.clone());
        for other in [
            Program::new("b", DType::F32, &["part"], &[]).unwrap(),
            Program::new("a", DType::F64, &["part"], &[]).unwrap(),
            Program::of_pixels("a", DType::BF16, &["part"], &[]).unwrap(),
            program.clone().with_constants([("ROWS", 2)]),
            program.clone().for_count(1 << 31),
            program.clone().with_plugin("text".into()),
        ] {
            assert_ne!(program, other);
        }
    }

    #[test]
    fn the_text_is_type_constants_plugin_and_parts_in_this_order() {
        let text =
            Program::new("a", DType::F64, &["first part", "second part"], &[]).unwrap().with_constants([("ROWS", 2)]).with_plugin("the plugin".into()).text();
        let places = ["#define REAL double", "#define ROWS 2", "the plugin", "first part", "second part"].map(|part| text.find(part).unwrap());
        assert!(places.is_sorted(), "{text}");
    }

    #[test]
    fn another_number_type_is_an_error() {
        assert!(Program::new("relu", DType::BF16, &[], &[]).unwrap_err().to_string().contains("f32 or f64"));
        assert!(Program::of_pixels("max_pool2d", DType::U8, &[], &[]).unwrap_err().to_string().contains("bf16 or f16"));
    }
}
