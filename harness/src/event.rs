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

/// Several sinks as one, in order.
pub struct All<'a>(pub Vec<&'a mut dyn Sink>);

impl Sink for All<'_> {
    fn event(&mut self, event: Event<'_>) {
        self.0.iter_mut().for_each(|sink| sink.event(event));
    }
}
