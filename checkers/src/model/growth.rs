/// How an operation bears on a state that grows, such as a string to which pieces are appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// Nothing is said.
    Other,
    /// It adds to the state.
    Extends,
    /// It leaves a state that does not depend on the one before.
    Resets,
    /// It leaves the state as it is and says what it is.
    Observes,
}
