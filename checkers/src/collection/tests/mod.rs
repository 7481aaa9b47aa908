//! The engines against brute force and against the general search.

mod brute;
mod exhaustive;
mod random;

use super::Kind;

const QUEUE: Kind = Kind::Queue;
const STACK: Kind = Kind::Stack;
const LEAST_FIRST: Kind = Kind::PriorityQueue { greatest_first: false };
