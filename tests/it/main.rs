//! All integration tests, one module per feature.

mod answer;
mod bases;
mod browser;
mod budget;
mod builtin;
mod cache;
mod cli;
mod code;
mod contamination;
mod engine;
mod eval;
mod generate;
mod gguf;
mod hub;
mod interruption;
mod invariants;
mod llama;
mod questions;
mod report;
mod rescore;
mod sandbox;
mod task;
mod tokenizers;
mod train;
mod verifier;
