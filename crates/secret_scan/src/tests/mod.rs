//! What is found, and what is left alone.

mod ordinary;
mod sample_forms;
mod samples;
