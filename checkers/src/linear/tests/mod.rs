//! The engines and the witnesses against brute force, and the engines against each other.

mod brute;
mod oracle;
