//! The tps transformation.
