//! The event stream of a run and what listens to it.

use squall_checkers::Op;

/// What happens in a run, in order.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A phase of the run begins, named for a person.
    Phase(&'a str),
    /// An event of the history.
    Op(&'a Op),
    /// Time passes and nothing else did: at least ten times a second.
    Tick {
        /// Nanoseconds since the start of the run.
        time_ns: u64,
    },
}

/// Listens to a run: the recorder, the display, a test. Called on the scheduler's own thread, so it must not block.
pub trait Sink {
    /// Takes note of an event.
    fn event(&mut self, event: Event<'_>);
}

/// All of them, in order.
impl Sink for [&mut dyn Sink] {
    fn event(&mut self, event: Event<'_>) {
        self.iter_mut().for_each(|sink| sink.event(event));
    }
}

impl<const N: usize> Sink for [&mut dyn Sink; N] {
    fn event(&mut self, event: Event<'_>) {
        self.as_mut_slice().event(event);
    }
}
