pub mod duplicates;
pub mod envelope;
mod json;
pub mod replay;
