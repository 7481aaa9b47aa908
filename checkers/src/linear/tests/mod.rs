//! The engines against brute force, against each other, and on large simulated histories.

mod brute;
mod large;
mod oracle;
